// Products of 8-bit integers with one scale for 64 neighbouring weights and 32 neighbouring activations. Sums of those 32
// are exact and are added up in order with fused products: every instruction set gives the same bits.
#include <algorithm>

#include "engine_whole.h"

namespace treadle {

namespace {

constexpr int kGroupBytes = kGroup * kPanel + 2 * kPanel;  // One group of a panel: values, then scales.

// Whole floats between -128 and 127 to bytes; what is not a number becomes 0.
void store_bytes(int8_t* target, const Lanes& whole) {
#if defined(TREADLE_AVX512)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(target), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(whole.part[0])));
#else
    float values[16];
    store_lanes(values, whole);
    for (int i = 0; i < 16; i++) target[i] = values[i] == values[i] ? static_cast<int8_t>(values[i]) : int8_t{0};
#endif
}

// The least bfloat16 number not below a positive float.
uint16_t bfloat16_above(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return static_cast<uint16_t>((bits + 0xffffu) >> 16);
}

#if defined(TREADLE_AVX512)

// Weights are stored as unsigned bytes (value + 128), as the instruction wants one side; starting at -128 times the sum
// of the row's values takes that back. `Halves` of a group are summed side by side: one row alone needs the chains.
template <int Count, int Halves>
inline __attribute__((always_inline)) void multiply_rows(const std::byte* weights, const WholeRows& rows, float* out) {
    Vec total[Count][4];
    TREADLE_UNROLL
    for (int row = 0; row < Count; row++) {
        TREADLE_UNROLL
        for (int part = 0; part < 4; part++) total[row][part] = zero();
    }
    for (int half = 0; half < 2 * rows.groups; half += Halves) {
        const std::byte* group = weights + half / 2 * kGroupBytes;
        __m512i sum[Halves][Count][4];
        TREADLE_UNROLL
        for (int side = 0; side < Halves; side++) {
            TREADLE_UNROLL
            for (int row = 0; row < Count; row++) {
                const __m512i start = _mm512_set1_epi32(-128 * rows.sums[row * 2 * rows.groups + half + side]);
                TREADLE_UNROLL
                for (int part = 0; part < 4; part++) sum[side][row][part] = start;
            }
        }
        const std::byte* from = group + half % 2 * kWords * 256;
        for (int word = 0; word < kWords; word++) {
            TREADLE_UNROLL
            for (int side = 0; side < Halves; side++) {
                const int place = side * kWords + word;
                __m512i columns[4];
                TREADLE_UNROLL
                for (int part = 0; part < 4; part++) columns[part] = _mm512_loadu_si512(from + place * 256 + part * 64);
                TREADLE_UNROLL
                for (int row = 0; row < Count; row++) {
                    const __m512i value = _mm512_set1_epi32(four_values(rows, row, half * kHalfGroup + place * 4));
                    TREADLE_UNROLL
                    for (int part = 0; part < 4; part++) {
                        sum[side][row][part] = _mm512_dpbusd_epi32(sum[side][row][part], columns[part], value);
                    }
                }
            }
        }
        const auto* scale = reinterpret_cast<const uint16_t*>(group + kGroup * kPanel);
        TREADLE_UNROLL
        for (int part = 0; part < 4; part++) {
            const Vec column_scale = load_bfloat16(scale + part * 16);
            TREADLE_UNROLL
            for (int row = 0; row < Count; row++) {
                TREADLE_UNROLL
                for (int side = 0; side < Halves; side++) {
                    const Vec both = column_scale * broadcast(rows.scales[row * 2 * rows.groups + half + side]);
                    total[row][part] = fused(_mm512_cvtepi32_ps(sum[side][row][part]), both, total[row][part]);
                }
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

// |weight| is unsigned and the weight's sign goes to the other side: no pair of products leaves 16 bits.
template <int Count, int Halves>
inline __attribute__((always_inline)) void multiply_rows(const std::byte* weights, const WholeRows& rows, float* out) {
    const __m256i flip = _mm256_set1_epi8(static_cast<char>(0x80));
    const __m256i ones = _mm256_set1_epi16(1);
    for (int eighth = 0; eighth < 8; eighth++) {
        Vec total[Count];
        for (int row = 0; row < Count; row++) total[row] = zero();
        for (int half = 0; half < 2 * rows.groups; half++) {
            const std::byte* group = weights + half / 2 * kGroupBytes;
            const std::byte* from = group + half % 2 * kWords * 256 + eighth * 32;
            __m256i sum[Count];
            for (int row = 0; row < Count; row++) sum[row] = _mm256_setzero_si256();
            for (int word = 0; word < kWords; word++) {
                const __m256i column =
                    _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + word * 256)), flip);
                const __m256i magnitude = _mm256_abs_epi8(column);
                TREADLE_UNROLL
                for (int row = 0; row < Count; row++) {
                    const __m256i four = _mm256_set1_epi32(four_values(rows, row, half * kHalfGroup + word * 4));
                    const __m256i pairs = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(four, column));
                    sum[row] = _mm256_add_epi32(sum[row], _mm256_madd_epi16(pairs, ones));
                }
            }
            const auto* scale = reinterpret_cast<const uint16_t*>(group + kGroup * kPanel);
            const Vec column_scale = load_bfloat16(scale + eighth * 8);
            for (int row = 0; row < Count; row++) {
                const Vec both = column_scale * broadcast(rows.scales[row * 2 * rows.groups + half]);
                total[row] = fused(_mm256_cvtepi32_ps(sum[row]), both, total[row]);
            }
        }
        for (int row = 0; row < Count; row++) store(out + row * kPanel + eighth * 8, total[row]);
    }
}

#else

template <int Count, int Halves>
void multiply_rows(const std::byte* weights, const WholeRows& rows, float* out) {
    for (int row = 0; row < Count; row++) {
        alignas(64) float total[kPanel] = {};
        for (int half = 0; half < 2 * rows.groups; half++) {
            const std::byte* group = weights + half / 2 * kGroupBytes;
            const std::byte* from = group + half % 2 * kWords * 256;
            int32_t sum[kPanel] = {};
            for (int word = 0; word < kWords; word++) {
                const auto* column = reinterpret_cast<const uint8_t*>(from + word * 256);
                const int8_t* four = rows.values + row * rows.stride + half * kHalfGroup + word * 4;
                for (int i = 0; i < kPanel; i++) {
                    for (int j = 0; j < 4; j++) sum[i] += (column[4 * i + j] - 128) * four[j];
                }
            }
            const auto* scale = reinterpret_cast<const uint16_t*>(group + kGroup * kPanel);
            const Vec row_scale = broadcast(rows.scales[row * 2 * rows.groups + half]);
            for (int i = 0; i < kPanel; i += kLanes) {
                Vec whole;
                for (int lane = 0; lane < kLanes; lane++) whole[lane] = static_cast<float>(sum[i + lane]);
                store(total + i, fused(whole, load_bfloat16(scale + i) * row_scale, load(total + i)));
            }
        }
        std::memcpy(out + row * kPanel, total, sizeof total);
    }
}

#endif

template <int Count, int Halves>
__attribute__((noinline)) void multiply_some(const Matrix& matrix, int panel, const Operand& operand, int first,
                                             float* out) {
    multiply_rows<Count, Halves>(matrix.data + panel * panel_bytes(Format::kInt8, matrix.columns),
                                 whole_rows(operand, first), out + first * kPanel);
}

}  // namespace

// Both ends of the range are +-127. Where a value is no finite number neither is the sum of what came of them, and the
// scale says so.
void quantise_half(const float* values, int8_t* quantised, float* scale, int32_t* sum) {
    const Lanes first = load_lanes(values);
    const Lanes second = load_lanes(values + 16);
    const Lanes nothing = lanes(0.0f);
    const float largest = greatest(greater(greater(first, nothing - first), greater(second, nothing - second)));
    const Lanes factor = lanes(largest < 1e-30f ? 0.0f : 127.0f / largest);
    const Lanes least = lanes(-127.0f);
    const Lanes most = lanes(127.0f);
    const Lanes one = smaller(greater(rounded(first * factor), least), most);
    const Lanes other = smaller(greater(rounded(second * factor), least), most);
    const float added = total(one + other);  // Whole and small: exact.
    store_bytes(quantised, one);
    store_bytes(quantised + 16, other);
    const bool finite = added == added;
    *scale = finite ? largest * (1.0f / 127.0f) : added;
    *sum = finite ? static_cast<int32_t>(added) : 0;
}

// The scale is rounded up before values are divided by it, so that no value is clipped and rounding it costs nothing.
void pack_panel_int8(const float* rows, int columns, std::byte* panel) {
    for (int group = 0; group < columns / kGroup; group++, panel += kGroupBytes) {
        for (int row = 0; row < kPanel; row++) {
            const float* from = rows + static_cast<int64_t>(row) * columns + group * kGroup;
            float largest = 0.0f;
            bool finite = true;
            for (int i = 0; i < kGroup; i++) {
                largest = std::max(largest, std::fabs(from[i]));
                finite = finite && std::isfinite(from[i]);
            }
            uint16_t scale = finite ? bfloat16_above(largest / 127.0f) : uint16_t{0x7fc0};
            if (largest < 1e-30f) scale = 0;
            const float divisor = Bfloat16::widen(scale);
            std::memcpy(panel + kGroup * kPanel + 2 * row, &scale, sizeof scale);
            for (int i = 0; i < kGroup; i++) {
                const float whole = divisor > 0.0f ? std::nearbyint(from[i] / divisor) : 0.0f;
                const int value = static_cast<int>(std::min(std::max(whole, -127.0f), 127.0f));
                panel[(i / 4 * kPanel + row) * 4 + i % 4] = static_cast<std::byte>(value + 128);
            }
        }
    }
}

void multiply_int8(const Matrix& matrix, int panel, const Operand& operand, int rows, float* out) {
    in_parts(rows, [&](int row, int count) {
        switch (count) {
            case 1: return multiply_some<1, 2>(matrix, panel, operand, row, out);
            case 2: return multiply_some<2, 1>(matrix, panel, operand, row, out);
            case 3: return multiply_some<3, 1>(matrix, panel, operand, row, out);
            default: return multiply_some<kMostRows, 1>(matrix, panel, operand, row, out);
        }
    });
}

}  // namespace treadle
