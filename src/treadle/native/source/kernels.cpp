#include "kernels.h"

#include <algorithm>

namespace treadle {

namespace {

// Bytes that are fetched one after the other, one address in each turn of the loop over words. Neighbouring turns mostly
// ask for the same line, which costs nothing where there are a dozen products to a turn.
struct Ahead {
    const char* place;
    int64_t step;
};

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
__attribute__((noinline)) void multiply_tile(const Product& product, int first_row, int first_column, Ahead ahead) {
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
    for (int word = product.words; word > 0; word--, a += a_step, b += b_step, ahead.place += ahead.step) {
        __builtin_prefetch(ahead.place, 0, 2);
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
void multiply_rows(const Product& product, int count, int row, int column, Ahead ahead) {
    switch (count) {
        case 1: return multiply_tile<E, 1, Vectors>(product, row, column, ahead);
        case 2: return multiply_tile<E, 2, Vectors>(product, row, column, ahead);
        case 3: return multiply_tile<E, 3, Vectors>(product, row, column, ahead);
        case 4: return multiply_tile<E, 4, Vectors>(product, row, column, ahead);
        case 5: return multiply_tile<E, 5, Vectors>(product, row, column, ahead);
        default: return multiply_tile<E, 6, Vectors>(product, row, column, ahead);
    }
}

// Full tiles as long as possible, but never a thin last one where two middling ones do as well.
int next_tile(int rows) {
    if (rows <= kTileRows) return rows;
    if (rows < 2 * kTileRows) return (rows + 1) / 2;
    return kTileRows;
}

// The tile's place in the result is on its way while its sums are made.
void fetch_result(const Product& product, int first_row, int rows) {
    for (int row = first_row; row < first_row + rows; row++) {
        for (int column = 0; column < kPanel; column += 16) {
            __builtin_prefetch(product.c + row * product.c_stride + column, 1);
        }
    }
}

}  // namespace

template <class E>
void multiply_panel(const Product& product, int rows) {
    constexpr int kColumns = kTileVectors * kLanes;
    constexpr int kLine = 64;
    Ahead ahead{reinterpret_cast<const char*>(product.b), 0};
    if (product.next) {
        const int tiles = (std::max(product.next_spread, rows) + kTileRows - 1) / kTileRows * (kPanel / kColumns);
        const int64_t panel = static_cast<int64_t>(sizeof(Word)) * kPanel;
        ahead = {reinterpret_cast<const char*>(product.next), std::min<int64_t>(panel / tiles + 1, kLine)};
    }
    for (int row = 0; row < rows;) {
        const int count = next_tile(rows - row);
        fetch_result(product, row, count);
        for (int column = 0; column < kPanel; column += kColumns) {
            multiply_rows<E, kTileVectors>(product, count, row, column, ahead);
            ahead.place += product.words * ahead.step;
        }
        row += count;
    }
}

template <class E>
void multiply_eight_rows(const Product& product, int columns) {
    constexpr int kColumns = kAttentionTileVectors * kLanes;
    const Ahead stay{reinterpret_cast<const char*>(product.b), 0};
    for (int row = 0; row < 8; row += kAttentionTileRows) {
        for (int column = 0; column < columns; column += kColumns) {
            multiply_tile<E, kAttentionTileRows, kAttentionTileVectors>(product, row, column, stay);
        }
    }
}

template void multiply_panel<Bfloat16>(const Product&, int);
template void multiply_panel<Float32>(const Product&, int);
template void multiply_eight_rows<Bfloat16>(const Product&, int);
template void multiply_eight_rows<Float32>(const Product&, int);

}  // namespace treadle
