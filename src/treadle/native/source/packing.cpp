#include "packing.h"

#include "kernels.h"

namespace treadle {

template <class E>
void interleave_rows(const typename E::Value* source, int64_t stride, int rows, int columns, Word* target,
                     int64_t target_stride) {
    for (int row = 0; row < rows; row += E::kPerWord) {
        const typename E::Value* from = source + row * stride;
        Word* to = target + row / E::kPerWord * target_stride;
        if constexpr (E::kPerWord == 2) {
            for (int column = 0; column < columns; column += 32) {
                interleave_32(from + column, from + stride + column, to + column);
            }
        } else {
            std::memcpy(to, from, sizeof(Word) * static_cast<size_t>(columns));
        }
    }
}

template <class E>
void pack_panels(const typename E::Value* source, int64_t stride, int rows, int columns, Word* target,
                 int64_t panel_stride) {
    for (int column = 0; column < columns; column += kPanel) {
        interleave_rows<E>(source + column, stride, rows, kPanel, target + column / kPanel * panel_stride, kPanel);
    }
}

void transpose_words(const Word* source, int64_t source_stride, Word* target, int64_t target_stride, int rows,
                     int columns) {
    for (int row = 0; row < rows; row += 16) {
        for (int column = 0; column < columns; column += 16) {
            transpose_16x16(source + row * source_stride + column, source_stride, target + column * target_stride + row,
                            target_stride);
        }
    }
}

template <class E>
void narrow(const float* source, typename E::Value* target, int64_t count) {
    for (int64_t i = 0; i < count; i += kLanes) E::store(target + i, load(source + i));
}

template <class E>
void pack_weight_rows(const float* weight, int first_row, int rows, int columns, Word* forward, Word* backward,
                      typename E::Value* scratch) {
    const int words = columns / E::kPerWord;
    narrow<E>(weight + static_cast<int64_t>(first_row) * columns, scratch, static_cast<int64_t>(kPanel) * columns);
    transpose_words(as_words<E>(scratch), words, forward + static_cast<int64_t>(first_row) * words, kPanel, kPanel,
                    words);
    pack_panels<E>(scratch, columns, kPanel, columns, backward + static_cast<int64_t>(first_row) / E::kPerWord * kPanel,
                   static_cast<int64_t>(rows) / E::kPerWord * kPanel);
}

#define TREADLE_INSTANTIATE(E)                                                                                  \
    template void interleave_rows<E>(const E::Value*, int64_t, int, int, Word*, int64_t);                       \
    template void pack_panels<E>(const E::Value*, int64_t, int, int, Word*, int64_t);                           \
    template void narrow<E>(const float*, E::Value*, int64_t);                                                  \
    template void pack_weight_rows<E>(const float*, int, int, int, Word*, Word*, E::Value*);
TREADLE_INSTANTIATE(Bfloat16)
TREADLE_INSTANTIATE(Float32)
#undef TREADLE_INSTANTIATE

}  // namespace treadle
