// What products of 8-bit and of 4-bit weights share: rows of 8-bit integers with a scale and a sum for each half group.
#pragma once

#include "engine_format.h"

namespace treadle {

constexpr int kWords = kHalfGroup / 4;  // Words of 4 columns in half a group.

// Rows of one product; `stride` is that of the values, scales and sums have `2 * groups` to a row.
struct WholeRows {
    const int8_t* values;
    int64_t stride;
    const float* scales;
    const int32_t* sums;
    int groups;
};

inline WholeRows whole_rows(const Operand& operand, int first) {
    const int64_t start = static_cast<int64_t>(first) * operand.columns;
    return {reinterpret_cast<const int8_t*>(operand.values) + start, operand.columns,
            operand.scales + start / kHalfGroup, operand.sums + start / kHalfGroup, operand.columns / kGroup};
}

inline int32_t four_values(const WholeRows& rows, int row, int place) {
    int32_t four;
    std::memcpy(&four, rows.values + row * rows.stride + place, sizeof four);
    return four;
}

// Rows at once: their sums and totals of a panel just fill 32 wide registers.
constexpr int kMostRows = 4;

// Calls `some(first, count)`: as many rows at once as registers hold, but no thin last part.
template <class Some>
void in_parts(int rows, Some some) {
    for (int row = 0; row < rows;) {
        const int left = rows - row;
        const int count = left <= kMostRows ? left : left < 2 * kMostRows ? (left + 1) / 2 : kMostRows;
        some(row, count);
        row += count;
    }
}

}  // namespace treadle
