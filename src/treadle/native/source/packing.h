// Layouts that the kernels read as one forward stream.
#pragma once

#include "element.h"

namespace treadle {

// Rows are joined into words: word [row / kPerWord][column]. `rows` even, `columns` a multiple of 32.
template <class E>
void interleave_rows(const typename E::Value* source, int64_t stride, int rows, int columns, Word* target,
                     int64_t target_stride);

// As above, cut into panels of 64 columns that lie `panel_stride` words apart.
template <class E>
void pack_panels(const typename E::Value* source, int64_t stride, int rows, int columns, Word* target,
                 int64_t panel_stride);

// target[column][row] = source[row][column]; rows and columns (in words) are multiples of 16.
void transpose_words(const Word* source, int64_t source_stride, Word* target, int64_t target_stride, int rows,
                     int columns);

// Float rows to elements; `count` is a multiple of 64.
template <class E>
void narrow(const float* source, typename E::Value* target, int64_t count);

// A weight matrix W (rows x columns) is packed twice: `forward` serves x W^T, panels of 64 rows of W; `backward` serves
// dy W, panels of 64 columns. Rows first_row .. first_row + 63 are renewed; `scratch` holds 64 x columns values.
template <class E>
void pack_weight_rows(const float* weight, int first_row, int rows, int columns, Word* forward, Word* backward,
                      typename E::Value* scratch);

}  // namespace treadle
