// Non-linearities of the feed-forward. Forward keeps what goes in; backward computes the output again, because reading
// it back from memory costs as much as computing it.
#pragma once

#include "element.h"

namespace treadle {

// The tanh approximation of GELU, written as x * sigmoid(2 u) with u = sqrt(2 / pi) (x + 0.044715 x^3).
inline Vec gelu_gate(Vec x) {
    const Vec cubic = multiply_add(x * x, broadcast(0.044715f), broadcast(1.0f));
    return sigmoid(x * cubic * broadcast(2.0f * 0.7978845608f));
}

inline Vec gelu_slope(Vec x, Vec gate) {
    const Vec cubic = multiply_add(x * x, broadcast(3.0f * 0.044715f), broadcast(1.0f));
    const Vec inner = cubic * broadcast(2.0f * 0.7978845608f);
    return gate * multiply_add(x * (broadcast(1.0f) - gate), inner, broadcast(1.0f));
}

// d silu(x) / dx, with s = sigmoid(x).
inline Vec silu_slope(Vec x, Vec s) { return s * multiply_add(x, broadcast(1.0f) - s, broadcast(1.0f)); }

}  // namespace treadle
