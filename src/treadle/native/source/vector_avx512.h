// Vectors of 16 floats on AVX-512 with bfloat16 dot products. Included through vector.h only.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace treadle {

using Vec = __m512;
using Words = __m512i;

constexpr int kLanes = 16;
constexpr const char* kInstructionSet = "avx512";

// 6 x 4 accumulators + 4 columns + 1 broadcast = 29 of the 32 registers.
constexpr int kTileRows = 6;
constexpr int kTileVectors = 4;
constexpr int kAttentionTileRows = 8;
constexpr int kAttentionTileVectors = 2;

inline Vec zero() { return _mm512_setzero_ps(); }
inline Vec broadcast(float value) { return _mm512_set1_ps(value); }
inline Vec load(const float* source) { return _mm512_loadu_ps(source); }
inline void store(float* target, Vec value) { _mm512_storeu_ps(target, value); }

// a * b + c with one rounding.
inline Vec multiply_add(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
// c - a * b with one rounding.
inline Vec multiply_subtract_from(Vec a, Vec b, Vec c) { return _mm512_fnmadd_ps(a, b, c); }

// Where `a` is not a number the result is not one either: the instruction returns its second operand.
inline Vec maximum(Vec a, Vec b) { return _mm512_max_ps(b, a); }
inline Vec minimum(Vec a, Vec b) { return _mm512_min_ps(b, a); }
inline Vec square_root(Vec a) { return _mm512_sqrt_ps(a); }
inline Vec round_to_nearest(Vec a) { return _mm512_roundscale_ps(a, 0); }
// a * 2^exponent for whole exponents.
inline Vec scale_by_power(Vec a, Vec exponent) { return _mm512_scalef_ps(a, exponent); }

inline float sum(Vec a) { return _mm512_reduce_add_ps(a); }
inline float largest(Vec a) { return _mm512_reduce_max_ps(a); }

// The first `count` lanes of `a`; the others become `other`.
inline Vec keep_first(Vec a, int count, Vec other) {
    if (count >= kLanes) return a;
    if (count <= 0) return other;
    return _mm512_mask_blend_ps(static_cast<__mmask16>((1u << count) - 1), other, a);
}

inline Words load_words(const uint32_t* source) { return _mm512_loadu_si512(source); }
inline Words broadcast_word(const uint32_t* source) { return _mm512_set1_epi32(static_cast<int>(*source)); }
inline Vec as_floats(Words a) { return _mm512_castsi512_ps(a); }

// accumulator + a.low * b.low + a.high * b.high, each word holding two bfloat16 values.
inline Vec dot_bfloat16(Vec accumulator, Words a, Words b) {
    return _mm512_dpbf16_ps(accumulator, (__m512bh)a, (__m512bh)b);
}

inline Vec load_bfloat16(const uint16_t* source) {
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(source)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

inline void store_bfloat16(uint16_t* target, Vec value) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(target), (__m256i)_mm512_cvtneps_pbh(value));
}

// 32 words whose low halves come from `even` and whose high halves come from `odd` (32 values each).
inline void interleave_32(const uint16_t* even, const uint16_t* odd, uint32_t* target) {
    const __m512i low = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6,
                                         37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
    __m512i a = _mm512_loadu_si512(even);
    __m512i b = _mm512_loadu_si512(odd);
    _mm512_storeu_si512(target, _mm512_permutex2var_epi16(a, low, b));
    _mm512_storeu_si512(target + 16, _mm512_permutex2var_epi16(a, high, b));
}

// target[column][row] = source[row][column] for 16 x 16 words, by four rounds of pairwise exchange.
inline void transpose_16x16(const uint32_t* source, int64_t source_stride, uint32_t* target, int64_t target_stride) {
    __m512i a[16];
    __m512i b[16];
    for (int i = 0; i < 16; i++) a[i] = _mm512_loadu_si512(source + i * source_stride);
    for (int i = 0; i < 8; i++) {
        b[2 * i] = _mm512_unpacklo_epi32(a[2 * i], a[2 * i + 1]);
        b[2 * i + 1] = _mm512_unpackhi_epi32(a[2 * i], a[2 * i + 1]);
    }
    for (int i = 0; i < 4; i++) {
        a[4 * i] = _mm512_unpacklo_epi64(b[4 * i], b[4 * i + 2]);
        a[4 * i + 1] = _mm512_unpackhi_epi64(b[4 * i], b[4 * i + 2]);
        a[4 * i + 2] = _mm512_unpacklo_epi64(b[4 * i + 1], b[4 * i + 3]);
        a[4 * i + 3] = _mm512_unpackhi_epi64(b[4 * i + 1], b[4 * i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        b[i] = _mm512_shuffle_i32x4(a[i], a[i + 4], 0x88);
        b[i + 4] = _mm512_shuffle_i32x4(a[i], a[i + 4], 0xdd);
        b[i + 8] = _mm512_shuffle_i32x4(a[i + 8], a[i + 12], 0x88);
        b[i + 12] = _mm512_shuffle_i32x4(a[i + 8], a[i + 12], 0xdd);
    }
    for (int i = 0; i < 4; i++) {
        _mm512_storeu_si512(target + i * target_stride, _mm512_shuffle_i32x4(b[i], b[i + 8], 0x88));
        _mm512_storeu_si512(target + (i + 8) * target_stride, _mm512_shuffle_i32x4(b[i], b[i + 8], 0xdd));
        _mm512_storeu_si512(target + (i + 4) * target_stride, _mm512_shuffle_i32x4(b[i + 4], b[i + 12], 0x88));
        _mm512_storeu_si512(target + (i + 12) * target_stride, _mm512_shuffle_i32x4(b[i + 4], b[i + 12], 0xdd));
    }
}

}  // namespace treadle
