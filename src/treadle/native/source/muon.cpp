#include <algorithm>
#include <cmath>
#include <utility>

#include "optimizers.h"
#include "products.h"

namespace treadle {

namespace {

// Rounds of X <- a X + (b A + c A^2) X with A = X X^T, each polynomial best for what the one before left over
// (Amsel et al. 2025, "The Polar Express", with their safety factor).
constexpr float kRounds[5][3] = {{4.0848f, -6.8946f, 2.9270f},
                                 {3.9505f, -6.3029f, 2.6377f},
                                 {3.7418f, -5.5913f, 2.3037f},
                                 {2.8769f, -3.1427f, 1.2046f},
                                 {2.8366f, -3.0525f, 1.2012f}};

// Momentum forward, its Nesterov look-ahead into `gradient`; returns the norm of the latter.
float advance_momentum(const Parameter& parameter, const State& state, const TreadleUpdate& update) {
    const Vec momentum = broadcast(update.momentum);
    const Vec fresh = broadcast(1.0f - update.momentum);
    const Vec scale = broadcast(update.gradient_scale);
    Vec squares = zero();
    for (int64_t i = parameter.offset(); i < parameter.offset() + parameter.size(); i += kLanes) {
        const Vec gradient = load(state.gradient + i) * scale;
        const Vec before = load(state.first + i);
        const Vec mean = multiply_add(fresh, gradient - before, before);
        store(state.first + i, mean);
        const Vec ahead = multiply_add(momentum, mean - gradient, gradient);
        store(state.gradient + i, ahead);
        squares = multiply_add(ahead, ahead, squares);
    }
    return std::sqrt(sum(squares));
}

// gram = X X^T for wide matrices, X^T X for tall ones: always the smaller of the two.
template <class E>
void gram_matrix(const typename E::Value* x, int rows, int columns, const MuonScratch<E>& scratch) {
    if (rows > columns) {
        multiply_transposed<E>({columns, columns, rows}, x, columns, x, columns, scratch.gram, false,
                               scratch.transposed, true);
        mirror_lower(scratch.gram, columns);
        return;
    }
    const int words = columns / E::kPerWord;
    for (int row = 0; row < rows; row += kPanel) {
        const int64_t start = static_cast<int64_t>(row) * words;
        transpose_words(as_words<E>(x) + start, words, scratch.packs + start, kPanel, kPanel, words);
    }
    multiply_symmetric<E>(rows, columns, x, scratch.packs, scratch.gram);
}

// mixed = b gram + c gram^2.
template <class E>
void mix_gram(int size, const float* round, const MuonScratch<E>& scratch) {
    const int64_t panel_words = static_cast<int64_t>(size) / E::kPerWord * kPanel;
    narrow<E>(scratch.gram, scratch.gram_rounded, static_cast<int64_t>(size) * size);
    pack_panels<E>(scratch.gram_rounded, size, size, size, scratch.gram_packs, panel_words);
    multiply_symmetric<E>(size, size, scratch.gram_rounded, scratch.gram_packs, scratch.gram_squared);
    for (int64_t i = 0; i < static_cast<int64_t>(size) * size; i += kLanes) {
        const Vec linear = broadcast(round[1]) * load(scratch.gram + i);
        E::store(scratch.mixed + i, multiply_add(broadcast(round[2]), load(scratch.gram_squared + i), linear));
    }
}

// next = a X + mixed X (wide) or a X + X mixed (tall).
template <class E>
void apply_round(const typename E::Value* x, typename E::Value* next, int rows, int columns, const float* round,
                 const MuonScratch<E>& scratch) {
    auto finish = [&](int row, int column, const float* sums) {
        const int64_t place = static_cast<int64_t>(row) * columns + column;
        for (int i = 0; i < kPanel; i += kLanes) {
            E::store(next + place + i, multiply_add(broadcast(round[0]), E::load(x + place + i), load(sums + i)));
        }
    };
    const int smaller = std::min(rows, columns);
    const int64_t panel_words = static_cast<int64_t>(smaller) / E::kPerWord * kPanel;
    if (rows > columns) {
        pack_panels<E>(scratch.mixed, columns, columns, columns, scratch.gram_packs, panel_words);
        multiply_with<E>({rows, columns, columns}, x, scratch.gram_packs, finish);
    } else {
        pack_panels<E>(x, columns, rows, columns, scratch.packs, panel_words);
        multiply_with<E>({rows, columns, rows}, scratch.mixed, scratch.packs, finish);
    }
}

}  // namespace

template <class E>
void MuonScratch<E>::place(Arena& arena, int64_t size, int64_t smaller, int64_t widest) {
    matrix[0] = arena.take<Value>(size);
    matrix[1] = arena.take<Value>(size);
    gram_rounded = arena.take<Value>(smaller * smaller);
    mixed = arena.take<Value>(smaller * smaller);
    gram = arena.take<float>(smaller * smaller);
    gram_squared = arena.take<float>(smaller * smaller);
    packs = arena.take<Word>(size / E::kPerWord);
    gram_packs = arena.take<Word>(smaller * smaller / E::kPerWord);
    transposed = arena.take<Word>(transposed_scratch(widest));
}

template <class E>
void muon(const Parameter& parameter, const State& state, const TreadleUpdate& update, const TreadleRule& rule,
          const MuonScratch<E>& scratch) {
    const int rows = parameter.padded_rows;
    const int columns = parameter.tensor->columns;
    const int64_t start = parameter.offset();
    const float norm = advance_momentum(parameter, state, update);
    typename E::Value* x = scratch.matrix[0];
    typename E::Value* next = scratch.matrix[1];
    const Vec inverse = broadcast(1.0f / (norm * 1.01f + 1e-12f));
    for (int64_t i = 0; i < parameter.size(); i += kLanes) E::store(x + i, load(state.gradient + start + i) * inverse);
    for (const float* round : kRounds) {
        gram_matrix<E>(x, rows, columns, scratch);
        mix_gram<E>(std::min(rows, columns), round, scratch);
        apply_round<E>(x, next, rows, columns, round, scratch);
        std::swap(x, next);
    }
    const float slenderness = static_cast<float>(parameter.rows) / static_cast<float>(parameter.columns);
    const float shape_scale = std::sqrt(std::max(1.0f, slenderness));
    const Vec rate = broadcast(rule.rate * shape_scale);
    const Vec kept = broadcast(1.0f - rule.rate * rule.weight_decay);
    for (int64_t i = 0; i < parameter.size(); i += kLanes) {
        const Vec weight = kept * load(state.weights + start + i);
        store(state.weights + start + i, multiply_subtract_from(rate, E::load(x + i), weight));
    }
}

template struct MuonScratch<Bfloat16>;
template struct MuonScratch<Float32>;
template void muon<Bfloat16>(const Parameter&, const State&, const TreadleUpdate&, const TreadleRule&,
                             const MuonScratch<Bfloat16>&);
template void muon<Float32>(const Parameter&, const State&, const TreadleUpdate&, const TreadleRule&,
                            const MuonScratch<Float32>&);

}  // namespace treadle
