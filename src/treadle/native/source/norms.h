// RMSNorm and LayerNorm over padded rows, forward and backward.
#pragma once

#include "element.h"

namespace treadle {

// Constants of all norms over the residual stream.
struct NormSettings {
    bool layer_norm;
    float epsilon;
    int width;         // Natural: what means are taken over.
    int padded_width;
    const float* mask;  // 1 for real channels, 0 for padding.
};

// Gain and bias of one norm; null where it has none.
struct NormWeights {
    const float* gain;
    const float* bias;
};

// unit = (x - mean) / deviation, rounded to elements; `inverse` keeps 1 / deviation of each row. With a gain also
// out = (x - mean) / deviation * gain + bias, rounded once.
template <class E>
void norm_forward(const NormSettings& settings, NormWeights weights, const float* x, int rows,
                  typename E::Value* unit, float* inverse, typename E::Value* out);

// out = unit * gain + bias: what the backward pass needs again and the forward pass did not keep.
template <class E>
void norm_gain(const NormSettings& settings, NormWeights weights, const typename E::Value* unit, int rows,
               typename E::Value* out);

// Where the results of `norm_backward` go.
template <class E>
struct NormGradients {
    float* x;                   // dx: added to or replaced.
    bool add;
    typename E::Value* rounded;  // A copy of the final dx in elements; may be null.
    float* gain;                // Added to; null without a gain.
    float* bias;                // Added to; null without a bias.
};

// `upstream` is the gradient of the norm's output (after gain and bias).
template <class E>
void norm_backward(const NormSettings& settings, const float* upstream, const typename E::Value* unit,
                   const float* inverse, const float* gain, int rows, NormGradients<E> gradients);

}  // namespace treadle
