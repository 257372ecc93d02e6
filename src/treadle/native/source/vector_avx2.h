// Vectors of 8 floats on AVX2 with FMA; bfloat16 pairs are widened on the fly. Included through vector.h only.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace treadle {

using Vec = __m256;
using Words = __m256i;

constexpr int kLanes = 8;
constexpr const char* kInstructionSet = "avx2";

// 6 x 2 accumulators + 2 columns + 1 broadcast = 15 of the 16 registers.
constexpr int kTileRows = 6;
constexpr int kTileVectors = 2;
constexpr int kAttentionTileRows = 4;
constexpr int kAttentionTileVectors = 2;

inline Vec zero() { return _mm256_setzero_ps(); }
inline Vec broadcast(float value) { return _mm256_set1_ps(value); }
inline Vec load(const float* source) { return _mm256_loadu_ps(source); }
inline void store(float* target, Vec value) { _mm256_storeu_ps(target, value); }

// a * b + c with one rounding.
inline Vec multiply_add(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
// c - a * b with one rounding.
inline Vec multiply_subtract_from(Vec a, Vec b, Vec c) { return _mm256_fnmadd_ps(a, b, c); }

// Where `a` is not a number the result is not one either: the instruction returns its second operand.
inline Vec maximum(Vec a, Vec b) { return _mm256_max_ps(b, a); }
inline Vec minimum(Vec a, Vec b) { return _mm256_min_ps(b, a); }
inline Vec square_root(Vec a) { return _mm256_sqrt_ps(a); }
inline Vec round_to_nearest(Vec a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
// a * 2^exponent for whole exponents.
inline Vec scale_by_power(Vec a, Vec exponent) {
    __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(exponent), _mm256_set1_epi32(127));
    return a * _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
}

inline float sum(Vec a) {
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

inline float largest(Vec a) {
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}

// The first `count` lanes of `a`; the others become `other`.
inline Vec keep_first(Vec a, int count, Vec other) {
    __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256i kept = _mm256_cmpgt_epi32(_mm256_set1_epi32(count), lane);
    return _mm256_blendv_ps(other, a, _mm256_castsi256_ps(kept));
}

inline Words load_words(const uint32_t* source) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(source));
}
inline Words broadcast_word(const uint32_t* source) { return _mm256_set1_epi32(static_cast<int>(*source)); }
inline Vec as_floats(Words a) { return _mm256_castsi256_ps(a); }

// accumulator + a.low * b.low + a.high * b.high, each word holding two bfloat16 values.
inline Vec dot_bfloat16(Vec accumulator, Words a, Words b) {
    const __m256i upper = _mm256_set1_epi32(static_cast<int>(0xffff0000u));
    Vec low = multiply_add(as_floats(_mm256_slli_epi32(a, 16)), as_floats(_mm256_slli_epi32(b, 16)), accumulator);
    return multiply_add(as_floats(_mm256_and_si256(a, upper)), as_floats(_mm256_and_si256(b, upper)), low);
}

inline Vec load_bfloat16(const uint16_t* source) {
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(source)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

// Rounds to nearest even; what is not a number stays so.
inline void store_bfloat16(uint16_t* target, Vec value) {
    __m256i bits = _mm256_castps_si256(value);
    __m256i last = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), last);
    __m256i invalid = _mm256_castps_si256(_mm256_cmp_ps(value, value, _CMP_UNORD_Q));
    rounded = _mm256_blendv_epi8(rounded, _mm256_set1_epi32(0x7fc00000), invalid);
    rounded = _mm256_srli_epi32(rounded, 16);
    __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(rounded, rounded), 0x08);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(target), _mm256_castsi256_si128(packed));
}

}  // namespace treadle

#include "vector_scalar_packing.h"
