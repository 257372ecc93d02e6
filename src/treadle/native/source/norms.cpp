#include "norms.h"

#include <cmath>

namespace treadle {

namespace {

// Where the means have been taken away, or must not be; padding is not at the mean, so the mask keeps it out.
Vec centred(const NormSettings& settings, const float* x, Vec mean, int i) {
    return settings.layer_norm ? (load(x + i) - mean) * load(settings.mask + i) : load(x + i);
}

}  // namespace

template <class E>
void norm_forward(const NormSettings& settings, NormWeights weights, const float* x, int rows,
                  typename E::Value* unit, float* inverse, typename E::Value* out) {
    const int padded = settings.padded_width;
    for (int row = 0; row < rows; row++, x += padded, unit += padded) {
        Vec mean = zero();
        if (settings.layer_norm) {
            Vec total = zero();
            for (int i = 0; i < padded; i += kLanes) total = total + load(x + i);
            mean = broadcast(sum(total) / static_cast<float>(settings.width));
        }
        Vec squares = zero();
        for (int i = 0; i < padded; i += kLanes) {
            const Vec value = centred(settings, x, mean, i);
            squares = multiply_add(value, value, squares);
        }
        const float scale = 1.0f / std::sqrt(sum(squares) / static_cast<float>(settings.width) + settings.epsilon);
        inverse[row] = scale;
        for (int i = 0; i < padded; i += kLanes) {
            const Vec value = centred(settings, x, mean, i) * broadcast(scale);
            E::store(unit + i, value);
            if (!weights.gain) continue;
            const Vec shift = weights.bias ? load(weights.bias + i) : zero();
            E::store(out + static_cast<int64_t>(row) * padded + i, multiply_add(value, load(weights.gain + i), shift));
        }
    }
}

template <class E>
void norm_gain(const NormSettings& settings, NormWeights weights, const typename E::Value* unit, int rows,
               typename E::Value* out) {
    const int padded = settings.padded_width;
    for (int row = 0; row < rows; row++, unit += padded, out += padded) {
        for (int i = 0; i < padded; i += kLanes) {
            const Vec shift = weights.bias ? load(weights.bias + i) : zero();
            E::store(out + i, multiply_add(E::load(unit + i), load(weights.gain + i), shift));
        }
    }
}

namespace {

// Gradients of one row: with u the unit vector and e the gradient of u, dx = (e - [mean e] - u mean(e u)) / deviation.
template <class E, bool LayerNorm, bool Gain>
void norm_backward_row(const NormSettings& settings, const float* upstream, const typename E::Value* unit,
                       float inverse, const float* gain, NormGradients<E> gradients) {
    const int padded = settings.padded_width;
    const float share = 1.0f / static_cast<float>(settings.width);
    Vec along = zero();
    Vec total = zero();
    for (int i = 0; i < padded; i += kLanes) {
        const Vec value = E::load(unit + i);
        Vec gradient = load(upstream + i);
        if constexpr (Gain) {
            store(gradients.gain + i, multiply_add(gradient, value, load(gradients.gain + i)));
            if (gradients.bias) store(gradients.bias + i, load(gradients.bias + i) + gradient);
            gradient = gradient * load(gain + i);
        }
        along = multiply_add(gradient, value, along);
        if constexpr (LayerNorm) total = total + gradient;
    }
    const Vec slope = broadcast(sum(along) * share);
    const Vec mean = LayerNorm ? broadcast(sum(total) * share) : zero();
    const Vec scale = broadcast(inverse);
    for (int i = 0; i < padded; i += kLanes) {
        Vec gradient = load(upstream + i);
        if constexpr (Gain) gradient = gradient * load(gain + i);
        Vec result = scale * multiply_subtract_from(E::load(unit + i), slope, gradient);
        if constexpr (LayerNorm) result = multiply_subtract_from(scale * mean, load(settings.mask + i), result);
        if (gradients.add) result = result + load(gradients.x + i);
        store(gradients.x + i, result);
        if (gradients.rounded) E::store(gradients.rounded + i, result);
    }
}

template <class E, bool LayerNorm, bool Gain>
void norm_backward_rows(const NormSettings& settings, const float* upstream, const typename E::Value* unit,
                        const float* inverse, const float* gain, int rows, NormGradients<E> gradients) {
    for (int row = 0; row < rows; row++) {
        const int64_t start = static_cast<int64_t>(row) * settings.padded_width;
        NormGradients<E> of_row = gradients;
        of_row.x += start;
        if (of_row.rounded) of_row.rounded += start;
        norm_backward_row<E, LayerNorm, Gain>(settings, upstream + start, unit + start, inverse[row], gain, of_row);
    }
}

}  // namespace

template <class E>
void norm_backward(const NormSettings& settings, const float* upstream, const typename E::Value* unit,
                   const float* inverse, const float* gain, int rows, NormGradients<E> gradients) {
    if (settings.layer_norm) {
        if (gain) norm_backward_rows<E, true, true>(settings, upstream, unit, inverse, gain, rows, gradients);
        else norm_backward_rows<E, true, false>(settings, upstream, unit, inverse, gain, rows, gradients);
    } else {
        if (gain) norm_backward_rows<E, false, true>(settings, upstream, unit, inverse, gain, rows, gradients);
        else norm_backward_rows<E, false, false>(settings, upstream, unit, inverse, gain, rows, gradients);
    }
}

#define TREADLE_INSTANTIATE(E)                                                                                     \
    template void norm_forward<E>(const NormSettings&, NormWeights, const float*, int, E::Value*, float*,          \
                                  E::Value*);                                                                      \
    template void norm_gain<E>(const NormSettings&, NormWeights, const E::Value*, int, E::Value*);                 \
    template void norm_backward<E>(const NormSettings&, const float*, const E::Value*, const float*, const float*, \
                                   int, NormGradients<E>);
TREADLE_INSTANTIATE(Bfloat16)
TREADLE_INSTANTIATE(Float32)
#undef TREADLE_INSTANTIATE

}  // namespace treadle
