#include "kernels.h"

namespace treadle {

namespace {

// All accumulators stay in registers for the whole sum: nothing in this function may spill inside the loop over words
// (a test disassembles it), which is why what happens to the result afterwards is no business of the kernel.
template <class E, int Rows, int Vectors>
__attribute__((noinline)) void multiply_tile(const Product& product) {
    Vec accumulator[Rows][Vectors];
    TREADLE_UNROLL
    for (int row = 0; row < Rows; row++) {
        TREADLE_UNROLL
        for (int column = 0; column < Vectors; column++) accumulator[row][column] = zero();
    }
    const Word* a = product.a;
    const Word* b = product.b;
    const int64_t row_stride = product.a_row_stride;
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
    TREADLE_UNROLL
    for (int row = 0; row < Rows; row++) {
        float* c = product.c + row * product.c_stride;
        TREADLE_UNROLL
        for (int column = 0; column < Vectors; column++) {
            Vec value = accumulator[row][column];
            if (product.add) value = value + load(c + column * kLanes);
            store(c + column * kLanes, value);
        }
    }
}

template <class E, int Vectors>
void multiply_rows(const Product& product, int rows) {
    switch (rows) {
        case 1: return multiply_tile<E, 1, Vectors>(product);
        case 2: return multiply_tile<E, 2, Vectors>(product);
        case 3: return multiply_tile<E, 3, Vectors>(product);
        case 4: return multiply_tile<E, 4, Vectors>(product);
        case 5: return multiply_tile<E, 5, Vectors>(product);
        default: return multiply_tile<E, 6, Vectors>(product);
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
            Product tile = product;
            tile.a += row * product.a_row_stride;
            tile.b += column;
            tile.c += row * product.c_stride + column;
            multiply_rows<E, kTileVectors>(tile, count);
        }
        row += count;
    }
}

template <class E>
void multiply_eight_rows(const Product& product, int columns) {
    constexpr int kColumns = kAttentionTileVectors * kLanes;
    for (int row = 0; row < 8; row += kAttentionTileRows) {
        for (int column = 0; column < columns; column += kColumns) {
            Product tile = product;
            tile.a += row * product.a_row_stride;
            tile.b += column;
            tile.c += row * product.c_stride + column;
            multiply_tile<E, kAttentionTileRows, kAttentionTileVectors>(tile);
        }
    }
}

template void multiply_panel<Bfloat16>(const Product&, int);
template void multiply_panel<Float32>(const Product&, int);
template void multiply_eight_rows<Bfloat16>(const Product&, int);
template void multiply_eight_rows<Float32>(const Product&, int);

}  // namespace treadle
