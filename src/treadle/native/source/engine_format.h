// The number formats in which an engine keeps weights and the rows that are multiplied with them.
#pragma once

#include "engine_lanes.h"
#include "kernels.h"

namespace treadle {

// Values of a row of weights that share one scale in int8: one panel's width. Activations, which vary more, have one
// for each half of that.
constexpr int kGroup = 64;
constexpr int kHalfGroup = kGroup / 2;

enum class Format : int32_t { kFloat32 = 0, kBfloat16 = 1, kInt8 = 2, kInt4 = 3 };

// Whether rows are rounded to 8-bit integers before they are multiplied.
constexpr bool whole_numbers(Format format) { return format == Format::kInt8 || format == Format::kInt4; }

// The scores decide between tokens directly: with 4-bit weights they keep 8 bits.
constexpr Format head_format(Format format) { return format == Format::kInt4 ? Format::kInt8 : format; }

// A packed weight matrix: panels of 64 rows one after the other, each read as one forward stream.
struct Matrix {
    const std::byte* data = nullptr;
    int panels = 0;
    int columns = 0;  // A multiple of 64.
    Format format = Format::kFloat32;
};

// Bytes of one panel. int8: for each group of 64 columns 16 words of 4 neighbouring columns x 64 rows, then 64 scales.
// int4: for each 32 columns 4 pairs of such words, the first in the low halves of bytes, then 64 scales.
inline int64_t panel_bytes(Format format, int columns) {
    const int64_t values = static_cast<int64_t>(columns) * kPanel;
    if (format == Format::kFloat32) return 4 * values;
    if (format == Format::kBfloat16) return 2 * values;
    return format == Format::kInt8 ? values + values / kGroup * 2 : values / 2 + values / kHalfGroup * 2;
}

// Rows to multiply, in the engine's format: `values` [row][columns]; whole numbers have scale and sum of each half group.
struct Operand {
    std::byte* values;
    float* scales;    // [row][columns / 32]
    int32_t* sums;
    int columns;
};

inline int64_t operand_bytes(Format format, int64_t count) {
    return format == Format::kFloat32 ? 4 * count : format == Format::kBfloat16 ? 2 * count : count;
}

// Writes 64 values of a row.
void store_group(Format format, const Operand& operand, int row, int group, const float* values);

// out[row][64] = operand row x panel. Each sum runs in the order of the columns, so a row's result is the same in every
// batch.
void multiply(const Matrix& matrix, int panel, const Operand& operand, int rows, float* out);

// Packs 64 rows of `columns` floats as one panel.
void pack_panel(Format format, const float* rows, int columns, std::byte* panel);

// The parts of the above for whole numbers.
void quantise_half(const float* values, int8_t* quantised, float* scale, int32_t* sum);
void pack_panel_int8(const float* rows, int columns, std::byte* panel);
void multiply_int8(const Matrix& matrix, int panel, const Operand& operand, int rows, float* out);
void pack_panel_int4(const float* rows, int columns, std::byte* panel);
void multiply_int4(const Matrix& matrix, int panel, const Operand& operand, int rows, float* out);

}  // namespace treadle
