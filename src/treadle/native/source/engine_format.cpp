#include "engine_format.h"

#include <vector>

#include "packing.h"

namespace treadle {

namespace {

template <class E>
void multiply_elements(const Matrix& matrix, int panel, const Operand& operand, int rows, float* out) {
    const int words = operand.columns / E::kPerWord;
    const auto* weights = reinterpret_cast<const Word*>(matrix.data);
    const Product product{reinterpret_cast<const Word*>(operand.values), words, 1,
                          weights + static_cast<int64_t>(panel) * words * kPanel, kPanel, words,
                          out, kPanel, false};
    multiply_panel<E>(product, rows);
}

template <class E>
void pack_elements(const float* rows, int columns, std::byte* panel) {
    std::vector<typename E::Value> elements(static_cast<size_t>(columns) * kPanel);
    narrow<E>(rows, elements.data(), static_cast<int64_t>(columns) * kPanel);
    const int words = columns / E::kPerWord;
    transpose_words(as_words<E>(elements.data()), words, reinterpret_cast<Word*>(panel), kPanel, kPanel, words);
}

}  // namespace

void store_group(Format format, const Operand& operand, int row, int group, const float* values) {
    const int64_t place = static_cast<int64_t>(row) * operand.columns + group * kGroup;
    if (format == Format::kFloat32) {
        std::memcpy(reinterpret_cast<float*>(operand.values) + place, values, kGroup * sizeof(float));
    } else if (format == Format::kBfloat16) {
        narrow<Bfloat16>(values, reinterpret_cast<uint16_t*>(operand.values) + place, kGroup);
    } else {
        for (int64_t half = place; half < place + kGroup; half += kHalfGroup, values += kHalfGroup) {
            quantise_half(values, reinterpret_cast<int8_t*>(operand.values) + half, operand.scales + half / kHalfGroup,
                          operand.sums + half / kHalfGroup);
        }
    }
}

void multiply(const Matrix& matrix, int panel, const Operand& operand, int rows, float* out) {
    if (matrix.format == Format::kFloat32) multiply_elements<Float32>(matrix, panel, operand, rows, out);
    else if (matrix.format == Format::kBfloat16) multiply_elements<Bfloat16>(matrix, panel, operand, rows, out);
    else if (matrix.format == Format::kInt8) multiply_int8(matrix, panel, operand, rows, out);
    else multiply_int4(matrix, panel, operand, rows, out);
}

void pack_panel(Format format, const float* rows, int columns, std::byte* panel) {
    if (format == Format::kFloat32) pack_elements<Float32>(rows, columns, panel);
    else if (format == Format::kBfloat16) pack_elements<Bfloat16>(rows, columns, panel);
    else if (format == Format::kInt8) pack_panel_int8(rows, columns, panel);
    else pack_panel_int4(rows, columns, panel);
}

}  // namespace treadle
