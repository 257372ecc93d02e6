// The two data movements of packing, for instruction sets without a special way to do them.
#pragma once

#include <cstdint>

namespace treadle {

// 32 words whose low halves come from `even` and whose high halves come from `odd` (32 values each).
inline void interleave_32(const uint16_t* even, const uint16_t* odd, uint32_t* target) {
    for (int i = 0; i < 32; i++) target[i] = even[i] | static_cast<uint32_t>(odd[i]) << 16;
}

// target[column][row] = source[row][column] for 16 x 16 words.
inline void transpose_16x16(const uint32_t* source, int64_t source_stride, uint32_t* target, int64_t target_stride) {
    for (int column = 0; column < 16; column++) {
        for (int row = 0; row < 16; row++) {
            target[column * target_stride + row] = source[row * source_stride + column];
        }
    }
}

}  // namespace treadle
