// Vectors of 4 floats in the compilers' portable notation: any processor runs it. Included through vector.h only.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace treadle {

typedef float Vec __attribute__((vector_size(16)));
typedef uint32_t Words __attribute__((vector_size(16)));
typedef int32_t SignedWords __attribute__((vector_size(16)));

constexpr int kLanes = 4;
constexpr const char* kInstructionSet = "plain";

constexpr int kTileRows = 4;
constexpr int kTileVectors = 2;
constexpr int kAttentionTileRows = 4;
constexpr int kAttentionTileVectors = 2;

inline Vec broadcast(float value) { return Vec{value, value, value, value}; }
inline Vec zero() { return broadcast(0.0f); }
inline Vec load(const float* source) {
    Vec value;
    std::memcpy(&value, source, sizeof value);
    return value;
}
inline void store(float* target, Vec value) { std::memcpy(target, &value, sizeof value); }

inline Vec multiply_add(Vec a, Vec b, Vec c) { return a * b + c; }
inline Vec multiply_subtract_from(Vec a, Vec b, Vec c) { return c - a * b; }

// Where `a` is not a number the comparison is false and `a` stays.
inline Vec maximum(Vec a, Vec b) { return b > a ? b : a; }
inline Vec minimum(Vec a, Vec b) { return b < a ? b : a; }
inline Vec square_root(Vec a) {
    return Vec{std::sqrt(a[0]), std::sqrt(a[1]), std::sqrt(a[2]), std::sqrt(a[3])};
}
// Adding 1.5 * 2^23 pushes the fraction out of the mantissa; good for |a| < 2^22.
inline Vec round_to_nearest(Vec a) { return (a + broadcast(12582912.0f)) - broadcast(12582912.0f); }
// a * 2^exponent for whole exponents.
inline Vec scale_by_power(Vec a, Vec exponent) {
    SignedWords whole = __builtin_convertvector(exponent, SignedWords);
    return a * (Vec)((whole + 127) << 23);
}

inline float sum(Vec a) { return (a[0] + a[2]) + (a[1] + a[3]); }
inline float largest(Vec a) {
    float low = a[0] > a[1] ? a[0] : a[1];
    float high = a[2] > a[3] ? a[2] : a[3];
    return low > high ? low : high;
}

// The first `count` lanes of `a`; the others become `other`.
inline Vec keep_first(Vec a, int count, Vec other) {
    const SignedWords lane = {0, 1, 2, 3};
    return lane < (SignedWords{} + count) ? a : other;
}

inline Words load_words(const uint32_t* source) {
    Words value;
    std::memcpy(&value, source, sizeof value);
    return value;
}
inline Words broadcast_word(const uint32_t* source) { return Words{*source, *source, *source, *source}; }
inline Vec as_floats(Words a) { return (Vec)a; }

// accumulator + a.low * b.low + a.high * b.high, each word holding two bfloat16 values.
inline Vec dot_bfloat16(Vec accumulator, Words a, Words b) {
    Vec low = as_floats(a << 16) * as_floats(b << 16);
    Vec high = as_floats(a & 0xffff0000u) * as_floats(b & 0xffff0000u);
    return accumulator + low + high;
}

inline Vec load_bfloat16(const uint16_t* source) {
    Words wide = {source[0], source[1], source[2], source[3]};
    return as_floats(wide << 16);
}

// Rounds to nearest even; what is not a number stays so.
inline void store_bfloat16(uint16_t* target, Vec value) {
    Words bits = (Words)value;
    Words rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
    rounded = value == value ? rounded : (Words{} + 0x7fc00000u);
    for (int i = 0; i < kLanes; i++) target[i] = static_cast<uint16_t>(rounded[i] >> 16);
}

}  // namespace treadle

#include "vector_scalar_packing.h"
