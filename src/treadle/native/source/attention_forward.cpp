#include <cmath>

#include "attention.h"
#include "kernels.h"
#include "packing.h"

namespace treadle {

template <class E>
void AttentionScratch<E>::place(Arena& arena, int time, int head) {
    const int64_t packed = static_cast<int64_t>(time) * head / E::kPerWord;
    const int64_t round = static_cast<int64_t>(time < kQueryRound ? time : kQueryRound) / E::kPerWord * time;
    keys = arena.take<Word>(packed);
    values = arena.take<Word>(packed);
    key_rows = arena.take<Word>(packed);
    query_rows = arena.take<Word>(packed);
    upstream_rows = arena.take<Word>(packed);
    probability_rows = arena.take<Word>(round);
    score_rows = arena.take<Word>(round);
    scores = arena.take<float>(8 * time);
    upstream_scores = arena.take<float>(8 * time);
    probabilities = arena.take<Value>(8 * time);
    score_gradients = arena.take<Value>(8 * time);
    tile = arena.take<float>(8 * head);
    key_gradients = arena.take<float>(static_cast<int64_t>(time) * head);
    value_gradients = arena.take<float>(static_cast<int64_t>(time) * head);
}

namespace {

// Softmax over the first `visible` scores of a row, without the division: e^(s - max) rounded to elements.
template <class E>
float softmax_row(const float* scores, int visible, int width, float scale, typename E::Value* out, float* log_sum) {
    const Vec lowest = broadcast(-1e30f);
    Vec highest = lowest;
    for (int i = 0; i < visible; i += kLanes) {
        highest = maximum(highest, keep_first(load(scores + i), visible - i, lowest));
    }
    const float top = largest(highest) * scale;
    Vec total = zero();
    int i = 0;
    for (; i < visible; i += kLanes) {
        const Vec share = exponential(multiply_add(load(scores + i), broadcast(scale), broadcast(-top)));
        const Vec kept = keep_first(share, visible - i, zero());
        total = total + kept;
        E::store(out + i, kept);
    }
    for (; i < width; i += kLanes) E::store(out + i, zero());
    const float norm = sum(total);
    *log_sum = top + std::log(norm);
    return 1.0f / norm;
}

// Eight queries of one head against all keys that they may see.
template <class E>
void forward_eight(const AttentionForward<E>& group, const AttentionScratch<E>& scratch, int head, int first) {
    const int visible = (first + 8 + 31) / 32 * 32;
    const int64_t words = group.stride / E::kPerWord;
    const typename E::Value* queries = group.queries + first * group.stride + head * group.head;
    multiply_eight_rows<E>({as_words<E>(queries), words, 1, scratch.keys, group.time, group.head / E::kPerWord,
                            scratch.scores, group.time, false},
                           visible);
    float shares[8];
    for (int row = 0; row < 8; row++) {
        const int64_t token = first + row;
        shares[row] = softmax_row<E>(scratch.scores + row * group.time, first + row + 1, visible, group.scale,
                                     scratch.probabilities + row * group.time,
                                     group.log_sums + token * group.log_sum_stride + head);
    }
    multiply_eight_rows<E>({as_words<E>(scratch.probabilities), group.time / E::kPerWord, 1, scratch.values, group.head,
                            (first + 8) / E::kPerWord, scratch.tile, group.head, false},
                           group.head);
    for (int row = 0; row < 8; row++) {
        typename E::Value* output = group.output + (first + row) * group.output_stride + head * group.head;
        for (int i = 0; i < group.head; i += kLanes) {
            E::store(output + i, load(scratch.tile + row * group.head + i) * broadcast(shares[row]));
        }
    }
}

}  // namespace

template <class E>
void attention_forward(const AttentionForward<E>& group, const AttentionScratch<E>& scratch) {
    transpose_words(as_words<E>(group.keys), group.stride / E::kPerWord, scratch.keys, group.time, group.time,
                    group.head / E::kPerWord);
    interleave_rows<E>(group.values, group.stride, group.time, group.head, scratch.values, group.head);
    for (int head = 0; head < group.group; head++) {
        for (int first = 0; first < group.time; first += 8) forward_eight<E>(group, scratch, head, first);
    }
}

template struct AttentionScratch<Bfloat16>;
template struct AttentionScratch<Float32>;
template void attention_forward<Bfloat16>(const AttentionForward<Bfloat16>&, const AttentionScratch<Bfloat16>&);
template void attention_forward<Float32>(const AttentionForward<Float32>&, const AttentionScratch<Float32>&);

}  // namespace treadle
