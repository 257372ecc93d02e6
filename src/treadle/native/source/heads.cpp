#include "heads.h"

#include <cmath>

namespace treadle {

template <class E>
void head_forward(const HeadSettings& settings, int position, const float* raw, const float* gain,
                  typename E::Value* rotated, typename E::Value* unit, float* inverse) {
    const int half = settings.padded_half;
    Vec scale = broadcast(1.0f);
    if (settings.norm) {
        Vec squares = zero();
        for (int i = 0; i < 2 * half; i += kLanes) squares = multiply_add(load(raw + i), load(raw + i), squares);
        *inverse = 1.0f / std::sqrt(sum(squares) / static_cast<float>(settings.width) + settings.epsilon);
        scale = broadcast(*inverse);
    }
    const float* cosines = settings.cosines + static_cast<int64_t>(position) * half;
    const float* sines = settings.sines + static_cast<int64_t>(position) * half;
    for (int i = 0; i < half; i += kLanes) {
        Vec first = load(raw + i) * scale;
        Vec second = load(raw + half + i) * scale;
        if (unit) {
            E::store(unit + i, first);
            E::store(unit + half + i, second);
            first = first * load(gain + i);
            second = second * load(gain + half + i);
        }
        const Vec cosine = load(cosines + i);
        const Vec sine = load(sines + i);
        E::store(rotated + i, multiply_subtract_from(second, sine, first * cosine));
        E::store(rotated + half + i, multiply_add(first, sine, second * cosine));
    }
}

namespace {

constexpr int kLargestHalf = 512;

// The inverse rotation is also what carries gradients back.
void rotate_back(Vec& first, Vec& second, Vec cosine, Vec sine) {
    const Vec turned = multiply_add(second, sine, first * cosine);
    second = multiply_subtract_from(first, sine, second * cosine);
    first = turned;
}

}  // namespace

template <class E>
void head_backward(const HeadSettings& settings, int position, const float* upstream,
                   const typename E::Value* rotated, const typename E::Value* unit, float inverse, const float* gain,
                   float* gain_gradient, typename E::Value* raw_gradient) {
    alignas(64) float gradient[2 * kLargestHalf];
    alignas(64) float normed[2 * kLargestHalf];
    const int half = settings.padded_half;
    const float* cosines = settings.cosines + static_cast<int64_t>(position) * half;
    const float* sines = settings.sines + static_cast<int64_t>(position) * half;
    Vec along = zero();
    for (int i = 0; i < half; i += kLanes) {
        Vec first = load(upstream + i);
        Vec second = load(upstream + half + i);
        rotate_back(first, second, load(cosines + i), load(sines + i));
        Vec unit_first = E::load((unit ? unit : rotated) + i);
        Vec unit_second = E::load((unit ? unit : rotated) + half + i);
        if (unit) {
            store(gain_gradient + i, multiply_add(first, unit_first, load(gain_gradient + i)));
            store(gain_gradient + half + i, multiply_add(second, unit_second, load(gain_gradient + half + i)));
            first = first * load(gain + i);
            second = second * load(gain + half + i);
        } else {
            rotate_back(unit_first, unit_second, load(cosines + i), load(sines + i));
        }
        along = multiply_add(second, unit_second, multiply_add(first, unit_first, along));
        store(gradient + i, first);
        store(gradient + half + i, second);
        store(normed + i, unit_first);
        store(normed + half + i, unit_second);
    }
    const Vec slope = settings.norm ? broadcast(sum(along) / static_cast<float>(settings.width)) : zero();
    const Vec scale = broadcast(settings.norm ? inverse : 1.0f);
    for (int i = 0; i < 2 * half; i += kLanes) {
        E::store(raw_gradient + i, scale * multiply_subtract_from(load(normed + i), slope, load(gradient + i)));
    }
}

#define TREADLE_INSTANTIATE(E)                                                                                    \
    template void head_forward<E>(const HeadSettings&, int, const float*, const float*, E::Value*, E::Value*,     \
                                  float*);                                                                        \
    template void head_backward<E>(const HeadSettings&, int, const float*, const E::Value*, const E::Value*,      \
                                   float, const float*, float*, E::Value*);
TREADLE_INSTANTIATE(Bfloat16)
TREADLE_INSTANTIATE(Float32)
#undef TREADLE_INSTANTIATE

}  // namespace treadle
