#include "loss.h"

#include <cmath>

namespace treadle {

namespace {

// Largest logit after capping in place. Cannot be hidden from by what is not a number: the sum below finds it.
float cap_and_find_largest(const LossSettings& settings, float* logits) {
    const Vec lowest = broadcast(-1e30f);
    const Vec cap = broadcast(settings.cap);
    Vec highest = lowest;
    for (int i = 0; i < settings.vocabulary; i += kLanes) {
        Vec value = load(logits + i);
        if (settings.cap > 0) {
            value = cap * hyperbolic_tangent(value / cap);
            store(logits + i, value);
        }
        highest = maximum(highest, keep_first(value, settings.vocabulary - i, lowest));
    }
    return largest(highest);
}

}  // namespace

template <class E>
double cross_entropy(const LossSettings& settings, float* logits, int target, typename E::Value* gradient) {
    if (target < 0) {
        if (gradient) std::memset(gradient, 0, sizeof *gradient * static_cast<size_t>(settings.padded_vocabulary));
        return 0.0;
    }
    const float top = cap_and_find_largest(settings, logits);
    Vec total = zero();
    for (int i = 0; i < settings.vocabulary; i += kLanes) {
        const Vec share = exponential(load(logits + i) - broadcast(top));
        total = total + keep_first(share, settings.vocabulary - i, zero());
    }
    const float log_sum = top + std::log(sum(total));
    const double loss = static_cast<double>(log_sum) - static_cast<double>(logits[target]);
    if (!gradient) return loss;

    const float inverse_cap = settings.cap > 0 ? 1.0f / settings.cap : 0.0f;
    int i = 0;
    for (; i < settings.vocabulary; i += kLanes) {
        const Vec value = load(logits + i);
        const Vec bend = value * broadcast(inverse_cap);
        const Vec slope = multiply_subtract_from(bend, bend, broadcast(1.0f)) * broadcast(settings.scale);
        const Vec share = exponential(value - broadcast(log_sum)) * slope;
        E::store(gradient + i, keep_first(share, settings.vocabulary - i, zero()));
    }
    for (; i < settings.padded_vocabulary; i += kLanes) E::store(gradient + i, zero());
    const float bend = logits[target] * inverse_cap;
    const float probability = std::exp(logits[target] - log_sum);
    gradient[target] = E::narrow((probability - 1.0f) * (1.0f - bend * bend) * settings.scale);
    return loss;
}

template double cross_entropy<Bfloat16>(const LossSettings&, float*, int, Bfloat16::Value*);
template double cross_entropy<Float32>(const LossSettings&, float*, int, Float32::Value*);

}  // namespace treadle
