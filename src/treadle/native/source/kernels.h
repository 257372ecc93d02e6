// The innermost products. Training and generation share them.
#pragma once

#include "element.h"

namespace treadle {

// Columns of one packed panel.
constexpr int kPanel = 64;

// C (+)= A x B, summed over `words`. A is read word by word with free strides (in words), so that the same kernel
// multiplies by a matrix or by its transpose; B is packed: word k of column j lies at b[k * b_stride + j].
struct Product {
    const Word* a;
    int64_t a_row_stride;
    int64_t a_word_stride;
    const Word* b;
    int64_t b_stride;
    int words;
    float* c;
    int64_t c_stride;
    bool add;
    // What will be read when this B is done with (any address may stand here) is fetched into a cache meanwhile: as many
    // words as B has, spread over so many rows.
    const Word* next = nullptr;
    int next_spread = 0;
};

// `rows` (any number) times one panel of 64 columns.
template <class E>
void multiply_panel(const Product& product, int rows);

// 8 rows times `columns` (a multiple of 32): the tile of attention.
template <class E>
void multiply_eight_rows(const Product& product, int columns);

}  // namespace treadle
