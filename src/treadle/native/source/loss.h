// Cross-entropy of rows of logits, with an optional soft cap, and its gradient.
#pragma once

#include "element.h"

namespace treadle {

struct LossSettings {
    int vocabulary;
    int padded_vocabulary;
    float cap;    // cap * tanh(logit / cap); 0 = none.
    float scale;  // Of the gradient: 1 / (targets of the whole step).
};

// Loss of one row in nats; `logits` are overwritten by capped ones. A target below 0 counts for nothing. Where
// `gradient` is given it receives the gradient of the uncapped logits.
template <class E>
double cross_entropy(const LossSettings& settings, float* logits, int target, typename E::Value* gradient);

}  // namespace treadle
