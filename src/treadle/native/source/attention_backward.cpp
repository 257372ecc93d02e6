#include <algorithm>

#include "attention.h"
#include "kernels.h"
#include "packing.h"

namespace treadle {

namespace {

// With P = softmax(S) recomputed from the saved log-sum, dS = scale * P * (dP - sum(P dP)). The sum is taken over what
// was computed here, not as y dy from rounded values, so that every row of dS sums to zero.
template <class E>
void score_gradient_row(const AttentionForward<E>& group, const AttentionScratch<E>& scratch, float log_sum, int row,
                        int visible, int width) {
    const int64_t start = static_cast<int64_t>(row) * group.time;
    float* scores = scratch.scores + start;
    const float* upstream = scratch.upstream_scores + start;
    const Vec scale = broadcast(group.scale);
    Vec along = zero();
    for (int i = 0; i < visible; i += kLanes) {
        const Vec share = exponential(multiply_add(load(scores + i), scale, broadcast(-log_sum)));
        const Vec probability = keep_first(share, visible - i, zero());
        store(scores + i, probability);
        along = multiply_add(probability, load(upstream + i), along);
        E::store(scratch.probabilities + start + i, probability);
    }
    const Vec slope = broadcast(sum(along));
    int i = 0;
    for (; i < visible; i += kLanes) {
        E::store(scratch.score_gradients + start + i, load(scores + i) * scale * (load(upstream + i) - slope));
    }
    for (; i < width; i += kLanes) {
        E::store(scratch.probabilities + start + i, zero());
        E::store(scratch.score_gradients + start + i, zero());
    }
}

// Eight queries: their probabilities and score gradients into the round's packs, their own gradient out.
template <class E>
void backward_eight(const AttentionForward<E>& group, const AttentionBackward<E>& backward,
                    const AttentionScratch<E>& scratch, int head, int first, int round_start) {
    const int64_t time = group.time;
    const int width = (first + 8 + 31) / 32 * 32;
    const int head_words = group.head / E::kPerWord;
    const typename E::Value* queries = group.queries + first * group.stride + head * group.head;
    const typename E::Value* upstream = backward.upstream + first * group.output_stride + head * group.head;
    multiply_eight_rows<E>({as_words<E>(queries), group.stride / E::kPerWord, 1, scratch.keys, time, head_words,
                            scratch.scores, time, false},
                           width);
    multiply_eight_rows<E>({as_words<E>(upstream), group.output_stride / E::kPerWord, 1, scratch.values, time,
                            head_words, scratch.upstream_scores, time, false},
                           width);
    for (int row = 0; row < 8; row++) {
        const float log_sum = group.log_sums[(first + row) * group.log_sum_stride + head];
        score_gradient_row(group, scratch, log_sum, row, first + row + 1, width);
    }
    const int64_t pack = (first - round_start) / E::kPerWord * time;
    interleave_rows<E>(scratch.probabilities, time, 8, width, scratch.probability_rows + pack, time);
    interleave_rows<E>(scratch.score_gradients, time, 8, width, scratch.score_rows + pack, time);

    multiply_eight_rows<E>({as_words<E>(scratch.score_gradients), time / E::kPerWord, 1, scratch.key_rows, group.head,
                            (first + 8) / E::kPerWord, scratch.tile, group.head, false},
                           group.head);
    for (int row = 0; row < 8; row++) {
        const int64_t token = first + row;
        const typename E::Value* unit =
            backward.query_units ? backward.query_units + token * backward.unit_stride + head * group.head : nullptr;
        head_backward<E>(*backward.heads, first + row, scratch.tile + row * group.head,
                         group.queries + token * group.stride + head * group.head, unit,
                         backward.query_inverses[token * backward.inverse_stride + head], backward.query_gain,
                         backward.query_gain_gradient,
                         backward.query_gradients + token * group.stride + head * group.head);
    }
}

// dK = dS^T Q and dV = P^T dY of one round of queries, added up over rounds and heads.
template <class E>
void add_key_gradients(const AttentionForward<E>& group, const AttentionScratch<E>& scratch, int round_start,
                       int round_end, bool add_before) {
    const int64_t time = group.time;
    for (int key = 0; key < round_end; key += 8) {
        const int skipped = std::max(key - round_start, 0) / E::kPerWord;  // Earlier queries do not see this key.
        const int words = (round_end - round_start) / E::kPerWord - skipped;
        const int64_t rows = round_start / E::kPerWord + skipped;
        const bool add = add_before || key < round_start;
        multiply_eight_rows<E>({scratch.probability_rows + skipped * time + key, 1, time,
                                scratch.upstream_rows + rows * group.head, group.head, words,
                                scratch.value_gradients + static_cast<int64_t>(key) * group.head, group.head, add},
                               group.head);
        multiply_eight_rows<E>({scratch.score_rows + skipped * time + key, 1, time,
                                scratch.query_rows + rows * group.head, group.head, words,
                                scratch.key_gradients + static_cast<int64_t>(key) * group.head, group.head, add},
                               group.head);
    }
}

template <class E>
void finish_keys(const AttentionForward<E>& group, const AttentionBackward<E>& backward,
                 const AttentionScratch<E>& scratch) {
    for (int64_t token = 0; token < group.time; token++) {
        const typename E::Value* unit =
            backward.key_units ? backward.key_units + token * backward.unit_stride : nullptr;
        head_backward<E>(*backward.heads, static_cast<int>(token), scratch.key_gradients + token * group.head,
                         group.keys + token * group.stride, unit,
                         backward.key_inverses[token * backward.inverse_stride], backward.key_gain,
                         backward.key_gain_gradient, backward.key_gradients + token * group.stride);
        narrow<E>(scratch.value_gradients + token * group.head, backward.value_gradients + token * group.stride,
                  group.head);
    }
}

}  // namespace

template <class E>
void attention_backward(const AttentionForward<E>& group, const AttentionBackward<E>& backward,
                        const AttentionScratch<E>& scratch) {
    const int64_t words = group.stride / E::kPerWord;
    const int head_words = group.head / E::kPerWord;
    transpose_words(as_words<E>(group.keys), words, scratch.keys, group.time, group.time, head_words);
    transpose_words(as_words<E>(group.values), words, scratch.values, group.time, group.time, head_words);
    interleave_rows<E>(group.keys, group.stride, group.time, group.head, scratch.key_rows, group.head);
    for (int head = 0; head < group.group; head++) {
        interleave_rows<E>(group.queries + head * group.head, group.stride, group.time, group.head, scratch.query_rows,
                           group.head);
        interleave_rows<E>(backward.upstream + head * group.head, group.output_stride, group.time, group.head,
                           scratch.upstream_rows, group.head);
        for (int start = 0; start < group.time; start += kQueryRound) {
            const int end = std::min(start + kQueryRound, group.time);
            for (int first = start; first < end; first += 8) {
                backward_eight<E>(group, backward, scratch, head, first, start);
            }
            add_key_gradients<E>(group, scratch, start, end, head > 0);
        }
    }
    finish_keys<E>(group, backward, scratch);
}

template void attention_backward<Bfloat16>(const AttentionForward<Bfloat16>&, const AttentionBackward<Bfloat16>&,
                                           const AttentionScratch<Bfloat16>&);
template void attention_backward<Float32>(const AttentionForward<Float32>&, const AttentionBackward<Float32>&,
                                          const AttentionScratch<Float32>&);

}  // namespace treadle
