#include <algorithm>
#include <cmath>
#include <utility>

#include "optimizers.h"
#include "products.h"

namespace treadle {

namespace {

// One round of X <- a X + (b A + c A^2) X with A = X X^T.
struct Round {
    float a, b, c;
};

// Each polynomial is the best one for what the round before left over (Amsel et al. 2025, "The Polar Express"), made for
// singular values from a hundredth of the largest on, which is kept a hundredth away from where the first one turns.
constexpr int kRounds = 4;
constexpr Round kPolynomials[kRounds] = {{8.0195f, -22.9987f, 16.8990f},
                                         {3.6414f, -2.7254f, 0.5369f},
                                         {2.6684f, -1.9829f, 0.4533f},
                                         {1.9581f, -1.3395f, 0.3841f}};
constexpr float kMargin = 1.01f;

// Rounds that are gathered before the Gram matrix is made anew: what is rounded away grows with them.
constexpr int kGathered = 2;

// The round for X / scale.
Round scaled(const Round& round, float scale) {
    const float square = scale * scale;
    return {round.a / scale, round.b / (scale * square), round.c / (scale * square * square)};
}

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

template <class E>
void pack_square(const typename E::Value* matrix, int size, const MuonScratch<E>& scratch) {
    pack_panels<E>(matrix, size, size, size, scratch.gram_packs, static_cast<int64_t>(size) / E::kPerWord * kPanel);
}

// square = gram^2, of the rounded Gram matrix.
template <class E>
void square_gram(int size, const MuonScratch<E>& scratch) {
    narrow<E>(scratch.gram, scratch.gram_rounded, static_cast<int64_t>(size) * size);
    pack_square<E>(scratch.gram_rounded, size, scratch);
    multiply_symmetric<E>(size, size, scratch.gram_rounded, scratch.gram_packs, scratch.square);
}

// The largest singular value is at most the eighth root of the sum of their eighth powers, which the square of the Gram
// matrix shows: a far closer bound than the Frobenius norm, which would cost one more round.
float spectral_bound(int size, const float* square) {
    Vec squares = zero();
    for (int64_t i = 0; i < static_cast<int64_t>(size) * size; i += kLanes) {
        squares = multiply_add(load(square + i), load(square + i), squares);
    }
    return std::max(std::sqrt(std::sqrt(std::sqrt(sum(squares)))), 1e-3f);  // Of a matrix of zeros, too.
}

// mixed = b gram + c gram^2 (+ a on the diagonal).
template <class E>
void mix_gram(int size, const Round& round, bool with_diagonal, const MuonScratch<E>& scratch) {
    for (int64_t i = 0; i < static_cast<int64_t>(size) * size; i += kLanes) {
        const Vec linear = broadcast(round.b) * load(scratch.gram + i);
        store(scratch.square + i, multiply_add(broadcast(round.c), load(scratch.square + i), linear));
    }
    if (with_diagonal) {
        for (int64_t i = 0; i < size; i++) scratch.square[i * (size + 1)] += round.a;
    }
    narrow<E>(scratch.square, scratch.mixed, static_cast<int64_t>(size) * size);
}

// result = left right for matrices that commute, so that the product is symmetric too; `right` lies in the packs.
template <class E>
void multiply_commuting(int size, const typename E::Value* left, typename E::Value* result,
                        const MuonScratch<E>& scratch) {
    multiply_symmetric<E>(size, size, left, scratch.gram_packs, scratch.square);
    narrow<E>(scratch.square, result, static_cast<int64_t>(size) * size);
}

// next = a X + M X (wide) or a X + X M (tall).
template <class E>
void apply(float a, const typename E::Value* matrix, const typename E::Value* x, typename E::Value* next, int rows,
           int columns, const MuonScratch<E>& scratch) {
    auto finish = [&](int row, int column, const float* sums) {
        const int64_t place = static_cast<int64_t>(row) * columns + column;
        for (int i = 0; i < kPanel; i += kLanes) {
            E::store(next + place + i, multiply_add(broadcast(a), E::load(x + place + i), load(sums + i)));
        }
    };
    const int64_t panel_words = static_cast<int64_t>(std::min(rows, columns)) / E::kPerWord * kPanel;
    if (rows > columns) {
        pack_square<E>(matrix, columns, scratch);
        multiply_with<E>({rows, columns, columns}, x, scratch.gram_packs, finish);
    } else {
        pack_panels<E>(x, columns, rows, columns, scratch.packs, panel_words);
        multiply_with<E>({rows, columns, rows}, matrix, scratch.packs, finish);
    }
}

// The polynomial of round `index`, after square_gram; the first one also takes the scale away.
template <class E>
Round polynomial(int index, int size, const MuonScratch<E>& scratch) {
    if (index > 0) return kPolynomials[index];
    return scaled(kPolynomials[0], kMargin * spectral_bound(size, scratch.square));
}

// Rounds on the Gram matrix alone: all that they make of it commutes with it, so their polynomials are gathered in
// `total` and touch X only once, where a matrix far from square would be multiplied in each of them.
template <class E>
void gather_rounds(int first, int size, const MuonScratch<E>& scratch) {
    for (int round = 0; round < kGathered; round++) {
        square_gram<E>(size, scratch);
        mix_gram<E>(size, polynomial<E>(first + round, size, scratch), true, scratch);
        pack_square<E>(scratch.mixed, size, scratch);
        if (round > 0) {
            multiply_commuting<E>(size, scratch.total, scratch.total, scratch);
        } else {
            std::copy(scratch.mixed, scratch.mixed + static_cast<int64_t>(size) * size, scratch.total);
        }
        if (round == kGathered - 1) return;
        multiply_commuting<E>(size, scratch.gram_rounded, scratch.gram_rounded, scratch);
        multiply_symmetric<E>(size, size, scratch.gram_rounded, scratch.gram_packs, scratch.gram);
    }
}

// All singular values of scratch.matrix[0] towards 1; returns where the result lies.
template <class E>
const typename E::Value* orthogonalise(int rows, int columns, const MuonScratch<E>& scratch) {
    typename E::Value* x = scratch.matrix[0];
    typename E::Value* next = scratch.matrix[1];
    const int size = std::min(rows, columns);
    const bool square = rows == columns;  // Nothing to gain from gathering.
    for (int round = 0; round < kRounds; round += square ? 1 : kGathered) {
        gram_matrix<E>(x, rows, columns, scratch);
        if (square) {
            square_gram<E>(size, scratch);
            const Round values = polynomial<E>(round, size, scratch);
            mix_gram<E>(size, values, false, scratch);
            apply<E>(values.a, scratch.mixed, x, next, rows, columns, scratch);
        } else {
            gather_rounds<E>(round, size, scratch);
            apply<E>(0.0f, scratch.total, x, next, rows, columns, scratch);
        }
        std::swap(x, next);
    }
    return x;
}

}  // namespace

template <class E>
void MuonScratch<E>::place(Arena& arena, int64_t size, int64_t smaller, int64_t widest) {
    matrix[0] = arena.take<Value>(size);
    matrix[1] = arena.take<Value>(size);
    gram_rounded = arena.take<Value>(smaller * smaller);
    total = arena.take<Value>(smaller * smaller);
    mixed = arena.take<Value>(smaller * smaller);
    gram = arena.take<float>(smaller * smaller);
    square = arena.take<float>(smaller * smaller);
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
    const Vec inverse = broadcast(1.0f / (norm + 1e-12f));
    for (int64_t i = 0; i < parameter.size(); i += kLanes) {
        E::store(scratch.matrix[0] + i, load(state.gradient + start + i) * inverse);
    }
    const typename E::Value* x = orthogonalise<E>(rows, columns, scratch);
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
