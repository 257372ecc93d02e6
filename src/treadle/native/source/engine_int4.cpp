// Products of 4-bit weights, with one half-precision scale for 32 neighbours, and the 8-bit rows of engine_int8.cpp. Sums
// of those 32 are exact and are added up in order with fused products: every instruction set gives the same bits.
#include <algorithm>
#include <cstddef>
#include <limits>

#include "engine_whole.h"

namespace treadle {

namespace {

constexpr int kOffset = 8;                                // Stored values are the weights' plus this.
constexpr int kPairs = kWords / 2;                        // Pairs of words of half a group.
constexpr int kHalfBytes = kPairs * 4 * kPanel + 2 * kPanel;

inline Vec load_scales(const std::byte* scales, int first) {
    const auto* source = reinterpret_cast<const Half*>(scales) + first;
#if defined(TREADLE_AVX512)
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(source)));
#elif defined(TREADLE_AVX2)
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(source)));
#else
    Vec result;
    for (int lane = 0; lane < kLanes; lane++) result[lane] = widen_half(source[lane]);
    return result;
#endif
}

inline Half half_of(float value) {
    alignas(64) float values[16] = {value};
    Half halves[16];
    store_lanes(halves, load_lanes(values));
    return halves[0];
}

inline float float_of(Half value) {
    Half halves[16] = {value};
    alignas(64) float values[16];
    store_lanes(values, load_lanes(halves));
    return values[0];
}

#if defined(TREADLE_AVX512)

template <int Count>
inline __attribute__((always_inline)) void multiply_nibbles(const std::byte* weights, const WholeRows& rows, float* out) {
    const __m512i low = _mm512_set1_epi8(15);
    Vec total[Count][4];
    TREADLE_UNROLL
    for (int row = 0; row < Count; row++) {
        TREADLE_UNROLL
        for (int part = 0; part < 4; part++) total[row][part] = zero();
    }
    for (int half = 0; half < 2 * rows.groups; half++, weights += kHalfBytes) {
        __m512i sum[Count][4];
        TREADLE_UNROLL
        for (int row = 0; row < Count; row++) {
            const __m512i start = _mm512_set1_epi32(-kOffset * rows.sums[row * 2 * rows.groups + half]);
            TREADLE_UNROLL
            for (int part = 0; part < 4; part++) sum[row][part] = start;
        }
        for (int pair = 0; pair < kPairs; pair++) {
            TREADLE_UNROLL
            for (int part = 0; part < 4; part++) {
                const __m512i both = _mm512_loadu_si512(weights + pair * 4 * kPanel + part * 64);
                const __m512i first = _mm512_and_si512(both, low);
                const __m512i second = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
                TREADLE_UNROLL
                for (int row = 0; row < Count; row++) {
                    const int place = half * kHalfGroup + pair * 8;
                    const __m512i one = _mm512_set1_epi32(four_values(rows, row, place));
                    const __m512i other = _mm512_set1_epi32(four_values(rows, row, place + 4));
                    sum[row][part] = _mm512_dpbusd_epi32(sum[row][part], first, one);
                    sum[row][part] = _mm512_dpbusd_epi32(sum[row][part], second, other);
                }
            }
        }
        TREADLE_UNROLL
        for (int part = 0; part < 4; part++) {
            const Vec column_scale = load_scales(weights + kPairs * 4 * kPanel, part * 16);
            TREADLE_UNROLL
            for (int row = 0; row < Count; row++) {
                const Vec both = column_scale * broadcast(rows.scales[row * 2 * rows.groups + half]);
                total[row][part] = fused(_mm512_cvtepi32_ps(sum[row][part]), both, total[row][part]);
            }
        }
    }
    TREADLE_UNROLL
    for (int row = 0; row < Count; row++) {
        TREADLE_UNROLL
        for (int part = 0; part < 4; part++) store(out + row * kPanel + part * 16, total[row][part]);
    }
}

#elif defined(TREADLE_AVX2)

template <int Count>
inline __attribute__((always_inline)) void multiply_nibbles(const std::byte* weights, const WholeRows& rows, float* out) {
    const __m256i low = _mm256_set1_epi8(15);
    const __m256i ones = _mm256_set1_epi16(1);
    for (int eighth = 0; eighth < 8; eighth++) {
        Vec total[Count];
        for (int row = 0; row < Count; row++) total[row] = zero();
        for (int half = 0; half < 2 * rows.groups; half++) {
            const std::byte* from = weights + half * kHalfBytes;
            __m256i sum[Count];
            for (int row = 0; row < Count; row++) {
                sum[row] = _mm256_set1_epi32(-kOffset * rows.sums[row * 2 * rows.groups + half]);
            }
            for (int pair = 0; pair < kPairs; pair++) {
                const __m256i both = _mm256_loadu_si256(
                    reinterpret_cast<const __m256i*>(from + pair * 4 * kPanel + eighth * 32));
                const __m256i first = _mm256_and_si256(both, low);
                const __m256i second = _mm256_and_si256(_mm256_srli_epi16(both, 4), low);
                TREADLE_UNROLL
                for (int row = 0; row < Count; row++) {  // At most 2 x 15 x 127 in 16 bits.
                    const int place = half * kHalfGroup + pair * 8;
                    const __m256i one = _mm256_set1_epi32(four_values(rows, row, place));
                    const __m256i other = _mm256_set1_epi32(four_values(rows, row, place + 4));
                    const __m256i products =
                        _mm256_add_epi16(_mm256_maddubs_epi16(first, one), _mm256_maddubs_epi16(second, other));
                    sum[row] = _mm256_add_epi32(sum[row], _mm256_madd_epi16(products, ones));
                }
            }
            const Vec column_scale = load_scales(from + kPairs * 4 * kPanel, eighth * 8);
            for (int row = 0; row < Count; row++) {
                const Vec both = column_scale * broadcast(rows.scales[row * 2 * rows.groups + half]);
                total[row] = fused(_mm256_cvtepi32_ps(sum[row]), both, total[row]);
            }
        }
        for (int row = 0; row < Count; row++) store(out + row * kPanel + eighth * 8, total[row]);
    }
}

#else

template <int Count>
void multiply_nibbles(const std::byte* weights, const WholeRows& rows, float* out) {
    for (int row = 0; row < Count; row++) {
        alignas(64) float total[kPanel] = {};
        for (int half = 0; half < 2 * rows.groups; half++) {
            const std::byte* from = weights + half * kHalfBytes;
            int32_t sum[kPanel] = {};
            for (int pair = 0; pair < kPairs; pair++) {
                const auto* both = reinterpret_cast<const uint8_t*>(from + pair * 4 * kPanel);
                const int8_t* one = rows.values + row * rows.stride + half * kHalfGroup + pair * 8;
                for (int i = 0; i < kPanel; i++) {
                    for (int j = 0; j < 4; j++) {
                        sum[i] += ((both[4 * i + j] & 15) - kOffset) * one[j];
                        sum[i] += ((both[4 * i + j] >> 4) - kOffset) * one[4 + j];
                    }
                }
            }
            const Vec row_scale = broadcast(rows.scales[row * 2 * rows.groups + half]);
            for (int i = 0; i < kPanel; i += kLanes) {
                Vec whole;
                for (int lane = 0; lane < kLanes; lane++) whole[lane] = static_cast<float>(sum[i + lane]);
                store(total + i, fused(whole, load_scales(from + kPairs * 4 * kPanel, i) * row_scale, load(total + i)));
            }
        }
        std::memcpy(out + row * kPanel, total, sizeof total);
    }
}

#endif

template <int Count>
__attribute__((noinline)) void multiply_some_nibbles(const Matrix& matrix, int panel, const Operand& operand, int first,
                                                     float* out) {
    multiply_nibbles<Count>(matrix.data + panel * panel_bytes(Format::kInt4, matrix.columns), whole_rows(operand, first),
                            out + first * kPanel);
}

int nibble(float value, float scale) {
    const float whole = scale == 0.0f ? 0.0f : std::nearbyint(value / scale);
    return static_cast<int>(std::min(std::max(whole, -8.0f), 7.0f));
}

// The scale with the least squared error among those that bring the value furthest from 0 near either end of the range.
Half best_scale(const float* values) {
    float extreme = 0.0f;
    for (int i = 0; i < kHalfGroup; i++) {
        if (!std::isfinite(values[i])) return 0x7e00;  // Not a number, and so is what it is multiplied with.
        if (std::fabs(values[i]) > std::fabs(extreme)) extreme = values[i];
    }
    Half best = 0;
    float least = std::numeric_limits<float>::infinity();
    for (float end : {-8.0f, -8.5f, -7.5f, -7.0f, 7.0f, 7.5f, -9.0f, 6.5f, 8.0f}) {
        const Half candidate = half_of(extreme / end);
        const float scale = float_of(candidate);
        float error = 0.0f;
        for (int i = 0; i < kHalfGroup; i++) {
            const float off = values[i] - scale * static_cast<float>(nibble(values[i], scale));
            error += off * off;
        }
        if (!(error < least)) continue;
        least = error;
        best = candidate;
    }
    return best;
}

}  // namespace

void pack_panel_int4(const float* rows, int columns, std::byte* panel) {
    for (int half = 0; half < columns / kHalfGroup; half++, panel += kHalfBytes) {
        for (int row = 0; row < kPanel; row++) {
            const float* from = rows + static_cast<int64_t>(row) * columns + half * kHalfGroup;
            const Half stored = best_scale(from);
            const float scale = float_of(stored);
            std::memcpy(panel + kPairs * 4 * kPanel + 2 * row, &stored, sizeof stored);
            for (int i = 0; i < kHalfGroup; i++) {
                const int value = (scale == scale ? nibble(from[i], scale) : 0) + kOffset;
                std::byte& place = panel[(i / 8 * kPanel + row) * 4 + i % 4];
                place = static_cast<std::byte>(i / 4 % 2 ? std::to_integer<int>(place) | value << 4 : value);
            }
        }
    }
}

void multiply_int4(const Matrix& matrix, int panel, const Operand& operand, int rows, float* out) {
    in_parts(rows, [&](int row, int count) {
        switch (count) {
            case 1: return multiply_some_nibbles<1>(matrix, panel, operand, row, out);
            case 2: return multiply_some_nibbles<2>(matrix, panel, operand, row, out);
            case 3: return multiply_some_nibbles<3>(matrix, panel, operand, row, out);
            default: return multiply_some_nibbles<kMostRows>(matrix, panel, operand, row, out);
        }
    });
}

}  // namespace treadle
