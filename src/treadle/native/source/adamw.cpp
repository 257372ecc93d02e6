#include <cmath>

#include "optimizers.h"

namespace treadle {

void adamw(const State& state, const TreadleUpdate& update, const TreadleRule& rule, int64_t start, int64_t count) {
    const double step = static_cast<double>(update.step);
    const double first_share = 1.0 - std::pow(static_cast<double>(update.beta1), step);
    const double second_share = 1.0 - std::pow(static_cast<double>(update.beta2), step);
    const Vec beta1 = broadcast(update.beta1);
    const Vec beta2 = broadcast(update.beta2);
    const Vec fresh1 = broadcast(1.0f - update.beta1);
    const Vec fresh2 = broadcast(1.0f - update.beta2);
    const Vec second_scale = broadcast(static_cast<float>(1.0 / second_share));
    const Vec epsilon = broadcast(update.epsilon);
    const Vec scale = broadcast(update.gradient_scale);
    const Vec rate = broadcast(static_cast<float>(static_cast<double>(rule.rate) / first_share));
    const Vec kept = broadcast(1.0f - rule.rate * rule.weight_decay);
    for (int64_t i = start; i < start + count; i += kLanes) {
        const Vec gradient = load(state.gradient + i) * scale;
        const Vec first = multiply_add(fresh1, gradient, beta1 * load(state.first + i));
        const Vec second = multiply_add(fresh2, gradient * gradient, beta2 * load(state.second + i));
        store(state.first + i, first);
        store(state.second + i, second);
        const Vec deviation = square_root(second * second_scale) + epsilon;
        store(state.weights + i, multiply_subtract_from(rate, first / deviation, kept * load(state.weights + i)));
    }
}

}  // namespace treadle
