// Causal attention of one sequence, exact softmax, without ever holding a T x T matrix.
#pragma once

#include "arena.h"
#include "heads.h"

namespace treadle {

// Queries that one round of the backward pass takes: their probabilities against all keys are held at once.
constexpr int kQueryRound = 256;

// Packs and tiles that one thread needs, for sequences of up to `time` (padded) tokens.
template <class E>
struct AttentionScratch {
    using Value = typename E::Value;

    void place(Arena& arena, int time, int head);

    Word* keys;               // Transposed: [words of a head][time].
    Word* values;             // Forward: rows joined, [time / per word][head]. Backward: transposed.
    Word* key_rows;           // Rows joined.
    Word* query_rows;
    Word* upstream_rows;
    Word* probability_rows;   // [kQueryRound / per word][time].
    Word* score_rows;
    float* scores;            // [8][time].
    float* upstream_scores;
    Value* probabilities;     // [8][time].
    Value* score_gradients;
    float* tile;              // [8][head].
    float* key_gradients;     // [time][head], summed over the query heads of the group.
    float* value_gradients;
};

// Heads of one sequence inside larger matrices: strides are in values from one token to the next.
template <class E>
struct AttentionForward {
    using Value = typename E::Value;
    int time;                 // Padded to a multiple of 32.
    int head;                 // Padded width of a head.
    int group;                // Query heads per key head.
    float scale;              // 1 / sqrt(natural head width).
    const Value* queries;     // The group's first query head.
    const Value* keys;
    const Value* values;
    int64_t stride;
    Value* output;
    int64_t output_stride;
    float* log_sums;          // [token][log_sum_stride], one per query head.
    int64_t log_sum_stride;
};

// All query heads of one key head.
template <class E>
void attention_forward(const AttentionForward<E>& group, const AttentionScratch<E>& scratch);

// Further operands of the backward pass; raw gradients go where the projections' gradients are collected.
template <class E>
struct AttentionBackward {
    using Value = typename E::Value;
    const HeadSettings* heads;
    const Value* upstream;         // Gradient of `output`, same layout.
    const Value* query_units;      // Null without gains; [token][unit_stride].
    const Value* key_units;
    int64_t unit_stride;
    const float* query_inverses;   // [token][inverse_stride], one per query head.
    const float* key_inverses;
    int64_t inverse_stride;
    const float* query_gain;
    const float* key_gain;
    float* query_gain_gradient;
    float* key_gain_gradient;
    Value* query_gradients;        // Raw, layout of the projections.
    Value* key_gradients;
    Value* value_gradients;
};

template <class E>
void attention_backward(const AttentionForward<E>& group, const AttentionBackward<E>& backward,
                        const AttentionScratch<E>& scratch);

}  // namespace treadle
