// What happens to one head of queries or keys between projection and attention: norm, gain, rotation.
#pragma once

#include "element.h"

namespace treadle {

// Constants of all heads. A head lies in two padded halves, so that a rotation pairs equal lanes:
// first' = first * cos - second * sin, second' = second * cos + first * sin.
struct HeadSettings {
    int width;        // Natural: what the norm's mean is taken over.
    int padded_half;
    bool norm;
    float epsilon;
    const float* cosines;  // [position][padded_half]; 1 where positions are learned.
    const float* sines;    // 0 where positions are learned.
};

// `raw` -> `rotated`. `unit` (the normed head before its gain) and `gain` are null together; `inverse` is one value.
template <class E>
void head_forward(const HeadSettings& settings, int position, const float* raw, const float* gain,
                  typename E::Value* rotated, typename E::Value* unit, float* inverse);

// Gradient of the rotated head -> gradient of the raw head, in elements; `gain_gradient` is added to.
template <class E>
void head_backward(const HeadSettings& settings, int position, const float* upstream,
                   const typename E::Value* rotated, const typename E::Value* unit, float inverse, const float* gain,
                   float* gain_gradient, typename E::Value* raw_gradient);

}  // namespace treadle
