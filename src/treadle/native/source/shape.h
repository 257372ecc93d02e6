// What the model looks like, in natural widths and in the padded ones that the kernels work with.
#pragma once

#include <cstdint>

#include "interface.h"

namespace treadle {

inline int round_up(int value, int multiple) { return (value + multiple - 1) / multiple * multiple; }

// Every width is padded to whole panels with zeros: weights, gradients and moments there are zero and stay zero, so no
// kernel has edges. Heads are padded half by half, which keeps the two halves of a rotation on equal lanes.
struct Shape : TreadleShape {
    explicit Shape(const TreadleShape& shape) : TreadleShape(shape) {
        padded_width = round_up(width, 64);
        half_head = (head_width + 1) / 2;
        padded_half = round_up(half_head, 16);
        padded_head = 2 * padded_half;
        query_width = round_up(heads * padded_head, 64);
        key_width = round_up(kv_heads * padded_head, 64);
        projected_width = query_width + 2 * key_width;
        padded_inner = round_up(feed_forward, 64);
        inner_sections = activation == TREADLE_SWIGLU ? 2 : 1;
        padded_vocabulary = round_up(vocabulary, 64);
        padded_context = round_up(context, 32);
    }

    bool layer_norm() const { return norm == TREADLE_LAYERNORM; }
    bool norm_bias() const { return norm_gain && bias && layer_norm(); }
    bool head_gain() const { return qk_norm && norm_gain; }

    int padded_width;
    int half_head;
    int padded_half;
    int padded_head;
    int query_width;      // All query heads.
    int key_width;        // All key heads, and all value heads.
    int projected_width;  // Queries, keys, values.
    int padded_inner;
    int inner_sections;  // Gate and up, or only up.
    int padded_vocabulary;
    int padded_context;
};

// Rows of attention are computed in tiles of 8 queries x 32 keys: sequences are padded to whole tiles.
inline int padded_time(int time) { return round_up(time, 32); }

}  // namespace treadle
