#include "kernels.h"

namespace treadle {

namespace {

template <int Rows, int Vectors>
inline __attribute__((always_inline)) void store_tile(float* c, int64_t stride, bool add,
                                                      Vec (&accumulator)[Rows][Vectors]) {
    if (add) {
        TREADLE_UNROLL
        for (int row = 0; row < Rows; row++) {
            TREADLE_UNROLL
            for (int column = 0; column < Vectors; column++) {
                const float* before = c + row * stride + column * kLanes;
                accumulator[row][column] = accumulator[row][column] + load(before);
            }
        }
    }
    TREADLE_UNROLL
    for (int row = 0; row < Rows; row++) {
        TREADLE_UNROLL
        for (int column = 0; column < Vectors; column++) {
            store(c + row * stride + column * kLanes, accumulator[row][column]);
        }
    }
}

// All accumulators stay in registers for the whole sum: nothing in this function may spill inside the loop over words
// (a test disassembles it), which is why what happens to the result afterwards is no business of the kernel.
template <class E, int Rows, int Vectors>
__attribute__((noinline)) void multiply_tile(const Product& product, int first_row, int first_column) {
    Vec accumulator[Rows][Vectors];
    TREADLE_UNROLL
    for (int row = 0; row < Rows; row++) {
        TREADLE_UNROLL
        for (int column = 0; column < Vectors; column++) accumulator[row][column] = zero();
    }
    const int64_t row_stride = product.a_row_stride;
    const Word* a = product.a + first_row * row_stride;
    const Word* b = product.b + first_column;
    const int64_t a_step = product.a_word_stride;
    const int64_t b_step = product.b_stride;
    for (int word = product.words; word > 0; word--, a += a_step, b += b_step) {
        Words columns[Vectors];
        TREADLE_UNROLL
        for (int column = 0; column < Vectors; column++) columns[column] = load_words(b + column * kLanes);
        TREADLE_UNROLL
        for (int row = 0; row < Rows; row++) {
            const Words value = broadcast_word(a + row * row_stride);
            TREADLE_UNROLL
            for (int column = 0; column < Vectors; column++) {
                accumulator[row][column] = E::dot(accumulator[row][column], value, columns[column]);
            }
        }
    }
    store_tile<Rows, Vectors>(product.c + first_row * product.c_stride + first_column, product.c_stride, product.add,
                              accumulator);
}

template <class E, int Vectors>
void multiply_rows(const Product& product, int count, int row, int column) {
    switch (count) {
        case 1: return multiply_tile<E, 1, Vectors>(product, row, column);
        case 2: return multiply_tile<E, 2, Vectors>(product, row, column);
        case 3: return multiply_tile<E, 3, Vectors>(product, row, column);
        case 4: return multiply_tile<E, 4, Vectors>(product, row, column);
        case 5: return multiply_tile<E, 5, Vectors>(product, row, column);
        default: return multiply_tile<E, 6, Vectors>(product, row, column);
    }
}

// Full tiles as long as possible, but never a thin last one where two middling ones do as well.
int next_tile(int rows) {
    if (rows <= kTileRows) return rows;
    if (rows < 2 * kTileRows) return (rows + 1) / 2;
    return kTileRows;
}

}  // namespace

template <class E>
void multiply_panel(const Product& product, int rows) {
    constexpr int kColumns = kTileVectors * kLanes;
    for (int row = 0; row < rows;) {
        const int count = next_tile(rows - row);
        for (int column = 0; column < kPanel; column += kColumns) {
            multiply_rows<E, kTileVectors>(product, count, row, column);
        }
        row += count;
    }
}

template <class E>
void multiply_eight_rows(const Product& product, int columns) {
    constexpr int kColumns = kAttentionTileVectors * kLanes;
    for (int row = 0; row < 8; row += kAttentionTileRows) {
        for (int column = 0; column < columns; column += kColumns) {
            multiply_tile<E, kAttentionTileRows, kAttentionTileVectors>(product, row, column);
        }
    }
}

template void multiply_panel<Bfloat16>(const Product&, int);
template void multiply_panel<Float32>(const Product&, int);
template void multiply_eight_rows<Bfloat16>(const Product&, int);
template void multiply_eight_rows<Float32>(const Product&, int);

}  // namespace treadle
