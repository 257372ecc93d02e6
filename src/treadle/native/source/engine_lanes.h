// Sixteen floats on every machine, with one order of every sum and one rounding of every fused product: what is computed
// with them has the same bits on all instruction sets.
#pragma once

#include <cmath>
#include <cstring>

#include "vector.h"

namespace treadle {

constexpr int kParts = 16 / kLanes;

// a * b + c with one rounding, also where the processor has no such instruction.
#if defined(TREADLE_AVX512) || defined(TREADLE_AVX2)
inline Vec fused(Vec a, Vec b, Vec c) { return multiply_add(a, b, c); }
#else
inline float fused_one(float a, float b, float c) {
#if defined(__FP_FAST_FMAF)
    return __builtin_fmaf(a, b, c);
#else
    // The product is exact in double. The sum is rounded to odd, so that rounding it once more is like rounding once.
    const double product = static_cast<double>(a) * b;
    double sum = product + c;
    const double back = sum - product;
    const double error = (product - (sum - back)) + (c - back);
    if (error < 0 || error > 0) {
        int64_t bits;
        std::memcpy(&bits, &sum, sizeof bits);
        if (!(bits & 1)) bits += (error > 0) == (sum > 0) ? 1 : -1;
        std::memcpy(&sum, &bits, sizeof bits);
    }
    return static_cast<float>(sum);
#endif
}
inline Vec fused(Vec a, Vec b, Vec c) {
    Vec result;
    for (int i = 0; i < kLanes; i++) result[i] = fused_one(a[i], b[i], c[i]);
    return result;
}
#endif

struct Lanes {
    Vec part[kParts];
};

template <class Each>
inline __attribute__((always_inline)) Lanes each_part(Each each) {
    Lanes result;
    TREADLE_UNROLL
    for (int i = 0; i < kParts; i++) result.part[i] = each(i);
    return result;
}

inline Lanes lanes(float value) {
    return each_part([&](int) { return broadcast(value); });
}
inline Lanes load_lanes(const float* source) {
    return each_part([&](int i) { return load(source + i * kLanes); });
}
inline void store_lanes(float* target, const Lanes& value) {
    TREADLE_UNROLL
    for (int i = 0; i < kParts; i++) store(target + i * kLanes, value.part[i]);
}

inline Lanes operator+(const Lanes& a, const Lanes& b) {
    return each_part([&](int i) { return a.part[i] + b.part[i]; });
}
inline Lanes operator-(const Lanes& a, const Lanes& b) {
    return each_part([&](int i) { return a.part[i] - b.part[i]; });
}
inline Lanes operator*(const Lanes& a, const Lanes& b) {
    return each_part([&](int i) { return a.part[i] * b.part[i]; });
}
inline Lanes operator/(const Lanes& a, const Lanes& b) {
    return each_part([&](int i) { return a.part[i] / b.part[i]; });
}
inline Lanes fused(const Lanes& a, const Lanes& b, const Lanes& c) {
    return each_part([&](int i) { return fused(a.part[i], b.part[i], c.part[i]); });
}
// Where `a` is not a number the result is not one either.
inline Lanes greater(const Lanes& a, const Lanes& b) {
    return each_part([&](int i) { return maximum(a.part[i], b.part[i]); });
}
inline Lanes smaller(const Lanes& a, const Lanes& b) {
    return each_part([&](int i) { return minimum(a.part[i], b.part[i]); });
}
inline Lanes rounded(const Lanes& a) {
    return each_part([&](int i) { return round_to_nearest(a.part[i]); });
}
// The first `count` lanes of `a`; the others become `other`.
inline Lanes first_lanes(const Lanes& a, int count, const Lanes& other) {
    return each_part([&](int i) { return keep_first(a.part[i], count - i * kLanes, other.part[i]); });
}

// The sum: lanes 8 apart, then 4, 2 and 1 apart.
inline float total(const Lanes& a) {
#if defined(TREADLE_AVX512)
    const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(a.part[0]), _mm512_extractf32x8_ps(a.part[0], 1));
    __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    quarter = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
    return _mm_cvtss_f32(_mm_add_ss(quarter, _mm_movehdup_ps(quarter)));
#elif defined(TREADLE_AVX2)
    return sum(a.part[0] + a.part[1]);
#else
    return sum((a.part[0] + a.part[2]) + (a.part[1] + a.part[3]));
#endif
}

inline float greatest(const Lanes& a) {
    Vec most = a.part[0];
    for (int i = 1; i < kParts; i++) most = maximum(most, a.part[i]);
    return largest(most);
}

// As in vector.h, with every product fused on every machine.
inline Lanes exponential(Lanes x) {
    x = smaller(greater(x, lanes(-87.0f)), lanes(88.0f));
    const Lanes power = x * lanes(1.44269504f);
    const Lanes whole = rounded(power);
    const Lanes fraction = power - whole;
    Lanes series = lanes(1.5403530e-4f);
    series = fused(series, fraction, lanes(1.3333558e-3f));
    series = fused(series, fraction, lanes(9.6181291e-3f));
    series = fused(series, fraction, lanes(5.5504109e-2f));
    series = fused(series, fraction, lanes(2.4022651e-1f));
    series = fused(series, fraction, lanes(6.9314718e-1f));
    series = fused(series, fraction, lanes(1.0f));
    return each_part([&](int i) { return scale_by_power(series.part[i], whole.part[i]); });
}

inline Lanes sigmoid(const Lanes& x) { return lanes(1.0f) / (lanes(1.0f) + exponential(lanes(0.0f) - x)); }

inline Lanes hyperbolic_tangent(const Lanes& x) {
    const Lanes decay = exponential(x * lanes(-2.0f));
    return (lanes(1.0f) - decay) / (lanes(1.0f) + decay);
}

// Half precision, for keys, values and embeddings; magnitudes beyond its range become its largest number.
using Half = uint16_t;
constexpr float kLargestHalf16 = 65504.0f;

#if defined(TREADLE_AVX512)
inline Lanes load_lanes(const Half* source) {
    return {{_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(source)))}};
}
inline void store_half(Half* target, const Lanes& value) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(target), _mm512_cvtps_ph(value.part[0], _MM_FROUND_TO_NEAREST_INT));
}
#elif defined(TREADLE_AVX2)
inline Lanes load_lanes(const Half* source) {
    return each_part([&](int i) {
        return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(source + i * kLanes)));
    });
}
inline void store_half(Half* target, const Lanes& value) {
    for (int i = 0; i < kParts; i++) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(target + i * kLanes),
                         _mm256_cvtps_ph(value.part[i], _MM_FROUND_TO_NEAREST_INT));
    }
}
#else
inline float widen_half(Half half) {
    const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
    const uint32_t exponent = (half >> 10) & 31u;
    const uint32_t mantissa = half & 1023u;
    float result;
    if (exponent == 0) {
        result = static_cast<float>(mantissa) * 0x1p-24f;
        return sign ? -result : result;
    }
    const uint32_t bits = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | mantissa << 13;
    std::memcpy(&result, &bits, sizeof result);
    return result;
}
// Rounds to nearest even.
inline Half narrow_half(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    const uint32_t sign = bits >> 16 & 0x8000u;
    bits &= 0x7fffffffu;
    if (bits > 0x7f800000u) return static_cast<Half>(sign | 0x7e00u);
    if (bits >= 0x477ff000u) return static_cast<Half>(sign | 0x7c00u);
    if (bits < 0x38800000u) {  // Below the smallest normal number: adding 1/2 aligns and rounds the mantissa.
        float magnitude;
        std::memcpy(&magnitude, &bits, sizeof magnitude);
        magnitude += 0.5f;
        uint32_t aligned;
        std::memcpy(&aligned, &magnitude, sizeof aligned);
        return static_cast<Half>(sign | (aligned - 0x3f000000u));
    }
    return static_cast<Half>(sign | ((bits - 0x38000000u + 0xfffu + (bits >> 13 & 1u)) >> 13));
}
inline Lanes load_lanes(const Half* source) {
    return each_part([&](int i) {
        Vec result;
        for (int lane = 0; lane < kLanes; lane++) result[lane] = widen_half(source[i * kLanes + lane]);
        return result;
    });
}
inline void store_half(Half* target, const Lanes& value) {
    for (int i = 0; i < 16; i++) target[i] = narrow_half(value.part[i / kLanes][i % kLanes]);
}
#endif

inline void store_lanes(Half* target, const Lanes& value) {
    store_half(target, smaller(greater(value, lanes(-kLargestHalf16)), lanes(kLargestHalf16)));
}

}  // namespace treadle
