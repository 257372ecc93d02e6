// One vector of floats, whatever the machine. Each shared object is compiled for one instruction set; the sources above
// this header are written once. Vec also has the operators + - * / of the compilers' vector notation.
#pragma once

#if defined(TREADLE_AVX512)
#include "vector_avx512.h"
#elif defined(TREADLE_AVX2)
#include "vector_avx2.h"
#else
#include "vector_plain.h"
#endif

#if defined(__clang__)
#define TREADLE_UNROLL _Pragma("unroll")
#else
#define TREADLE_UNROLL _Pragma("GCC unroll 8")
#endif

namespace treadle {

// e^x with a relative error of about 1e-7 between -87 and 88: 2^n times the series of 2^f, |f| <= 1/2.
inline Vec exponential(Vec x) {
    x = minimum(maximum(x, broadcast(-87.0f)), broadcast(88.0f));
    Vec power = x * broadcast(1.44269504f);
    Vec whole = round_to_nearest(power);
    Vec fraction = power - whole;
    Vec series = broadcast(1.5403530e-4f);
    series = multiply_add(series, fraction, broadcast(1.3333558e-3f));
    series = multiply_add(series, fraction, broadcast(9.6181291e-3f));
    series = multiply_add(series, fraction, broadcast(5.5504109e-2f));
    series = multiply_add(series, fraction, broadcast(2.4022651e-1f));
    series = multiply_add(series, fraction, broadcast(6.9314718e-1f));
    series = multiply_add(series, fraction, broadcast(1.0f));
    return scale_by_power(series, whole);
}

// 1 / (1 + e^-x).
inline Vec sigmoid(Vec x) { return broadcast(1.0f) / (broadcast(1.0f) + exponential(zero() - x)); }

inline Vec hyperbolic_tangent(Vec x) {
    Vec decay = exponential(x * broadcast(-2.0f));
    return (broadcast(1.0f) - decay) / (broadcast(1.0f) + decay);
}

}  // namespace treadle
