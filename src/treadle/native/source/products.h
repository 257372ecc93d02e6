// Matrix products over packed operands, with what is to happen to each finished tile.
#pragma once

#include <algorithm>

#include "kernels.h"
#include "packing.h"

namespace treadle {

// rows x inner times inner x columns; inner and columns are multiples of 64, rows of anything.
struct Extents {
    int rows;
    int columns;
    int inner;
};

// Rows that are multiplied with all panels before the next ones are, so that their part of A stays in the second-level
// cache; all blocks of about one size.
inline int rows_at_once(int rows, int inner) {
    const int most = std::max(48, 196608 / inner / 48 * 48);
    const int blocks = (rows + most - 1) / most;
    return ((rows + blocks - 1) / blocks + 11) / 12 * 12;
}

// Words that are summed before the next ones are: of a longer sum a panel and rows to meet it do not fit the cache.
inline int words_at_once(int words) { return words > 2048 ? 1024 : words; }

// C (+)= A W^T for a packed W.
template <class E>
void multiply_into(Extents extents, const typename E::Value* a, const Word* packs, float* c, int64_t c_stride,
                   bool add) {
    const int words = extents.inner / E::kPerWord;
    const int some = words_at_once(words);
    const int block = rows_at_once(extents.rows, some * E::kPerWord);
    for (int row = 0; row < extents.rows; row += block) {
        const int count = std::min(block, extents.rows - row);
        for (int first = 0; first < words; first += some) {
            const Word* panel = packs + static_cast<int64_t>(first) * kPanel;
            for (int column = 0; column < extents.columns; column += kPanel) {
                const Word* next = panel + static_cast<int64_t>(words) * kPanel;
                const Product product{as_words<E>(a) + static_cast<int64_t>(row) * words + first,
                                      words,
                                      1,
                                      panel,
                                      kPanel,
                                      std::min(some, words - first),
                                      c + row * c_stride + column,
                                      c_stride,
                                      add || first > 0,
                                      next,
                                      count};
                multiply_panel<E>(product, count);
                panel = next;
            }
        }
    }
}

// Fills the panels above the diagonal of a symmetric matrix from those below.
inline void mirror_lower(float* c, int size) {
    Word* words = reinterpret_cast<Word*>(c);
    for (int64_t row = kPanel; row < size; row += kPanel) {
        for (int64_t column = 0; column < row; column += kPanel) {
            transpose_words(words + row * size + column, size, words + column * size + row, size, kPanel, kPanel);
        }
    }
}

// C = A W^T for a packed W where C is known to be symmetric: half the work. Some panels of rows share each panel of W, or
// reading W would take as long as multiplying by it.
template <class E>
void multiply_symmetric(int size, int inner, const typename E::Value* a, const Word* packs, float* c) {
    constexpr int kRows = 3 * kPanel;
    const auto part = [&](int row, int column, int rows, int columns) {
        multiply_into<E>({rows, columns, inner}, a + static_cast<int64_t>(row) * inner,
                         packs + static_cast<int64_t>(column) * (inner / E::kPerWord),
                         c + static_cast<int64_t>(row) * size + column, size, false);
    };
    for (int row = 0; row < size; row += kRows) {
        const int end = std::min(row + kRows, size);
        if (row > 0) part(row, 0, end - row, row);
        for (int diagonal = row; diagonal < end; diagonal += kPanel) part(diagonal, diagonal, end - diagonal, kPanel);
    }
    mirror_lower(c, size);
}

// Each row of 64 finished sums of A W^T is handed to `finish(row, column, sums)` while it is in the first cache.
template <class E, class Finish>
void multiply_with(Extents extents, const typename E::Value* a, const Word* packs, Finish finish) {
    constexpr int kRows = 12;
    alignas(64) float tile[kRows * kPanel];
    const int words = extents.inner / E::kPerWord;
    const int block = rows_at_once(extents.rows, extents.inner);
    for (int start = 0; start < extents.rows; start += block) {
        const int end = std::min(start + block, extents.rows);
        for (int column = 0; column < extents.columns; column += kPanel) {
            const Word* panel = packs + static_cast<int64_t>(column) * words;
            for (int row = start; row < end; row += kRows) {
                const int count = std::min(kRows, end - row);
                const int64_t place_of_next = static_cast<int64_t>(words) * kPanel * (row - start) / (end - start);
                const Word* next = panel + static_cast<int64_t>(words) * kPanel + place_of_next;
                multiply_panel<E>({as_words<E>(a) + static_cast<int64_t>(row) * words, words, 1, panel, kPanel, words,
                                   tile, kPanel, false, next, end - start},
                                  count);
                for (int i = 0; i < count; i++) finish(row + i, column, tile + i * kPanel);
            }
        }
    }
}

// Rows of both operands that one round of `multiply_transposed` sums; two packs of that many rows fit the caches.
constexpr int kTransposedRows = 256;

// Words of scratch that `multiply_transposed` needs for a `right` of so many columns.
inline int64_t transposed_scratch(int64_t right_columns) { return kTransposedRows * (right_columns + kPanel); }

// G (+)= left^T right, both `extents.inner` rows long: the gradient of a weight matrix, or a Gram matrix. Of a result
// that is known to be symmetric, `lower_only` leaves out the panels above the diagonal.
template <class E>
void multiply_transposed(Extents extents, const typename E::Value* left, int64_t left_stride,
                         const typename E::Value* right, int64_t right_stride, float* g, bool add, Word* scratch,
                         bool lower_only = false) {
    Word* right_packs = scratch + kTransposedRows * kPanel;
    for (int start = 0; start < extents.inner; start += kTransposedRows) {
        const int count = std::min(kTransposedRows, extents.inner - start);
        const int words = count / E::kPerWord;
        const int64_t panel_words = static_cast<int64_t>(words) * kPanel;
        pack_panels<E>(right + start * right_stride, right_stride, count, extents.columns, right_packs, panel_words);
        for (int row = 0; row < extents.rows; row += kPanel) {
            interleave_rows<E>(left + start * left_stride + row, left_stride, count, kPanel, scratch, kPanel);
            const int columns = lower_only ? row + kPanel : extents.columns;
            for (int column = 0; column < columns; column += kPanel) {
                const Product product{scratch, 1, kPanel,
                                      right_packs + column / kPanel * panel_words, kPanel, words,
                                      g + static_cast<int64_t>(row) * extents.columns + column, extents.columns,
                                      add || start > 0,
                                      right_packs + (column / kPanel + 1) * panel_words, kPanel};
                multiply_panel<E>(product, kPanel);
            }
        }
    }
}

}  // namespace treadle
