#include "workspace.h"

#include <algorithm>
#include <cmath>

#include "products.h"

namespace treadle {

namespace {

// Logits held at once: enough rows to make good use of the head's weights, never tokens x vocabulary.
constexpr int64_t kLogitsBytes = 16 << 20;

}  // namespace

void Tables::place(const Shape& shape, Arena& arena) {
    const int64_t size = static_cast<int64_t>(shape.padded_context) * shape.padded_half;
    cosines = arena.take<float>(size);
    sines = arena.take<float>(size);
    mask = arena.take<float>(shape.padded_width);
}

void Tables::fill(const Shape& shape) {
    std::fill(mask, mask + shape.width, 1.0f);
    for (int position = 0; position < shape.padded_context; position++) {
        for (int i = 0; i < shape.padded_half; i++) {
            const int64_t place = static_cast<int64_t>(position) * shape.padded_half + i;
            const double frequency = std::pow(static_cast<double>(shape.rope_base), -2.0 * i / shape.head_width);
            const double angle = position * frequency;
            const bool turns = shape.positions == TREADLE_ROPE && i < shape.half_head;
            cosines[place] = turns ? static_cast<float>(std::cos(angle)) : 1.0f;
            sines[place] = turns ? static_cast<float>(std::sin(angle)) : 0.0f;
        }
    }
}

NormSettings Tables::norm(const Shape& shape) const {
    return {shape.layer_norm(), shape.norm_epsilon, shape.width, shape.padded_width, mask};
}

HeadSettings Tables::heads(const Shape& shape) const {
    return {shape.head_width, shape.padded_half, shape.qk_norm != 0, shape.norm_epsilon, cosines, sines};
}

template <class E>
void Workspace<E>::place(const Shape& shape, int rows, Arena& arena) {
    const int64_t tokens = rows;
    layers.resize(static_cast<size_t>(shape.layers));
    for (LayerActivations<E>& layer : layers) {
        layer.attention_unit = arena.take<Value>(tokens * shape.padded_width);
        layer.projected = arena.take<Value>(tokens * shape.projected_width);
        layer.units = arena.take<Value>(shape.head_gain() ? tokens * (shape.query_width + shape.key_width) : 0);
        layer.attended = arena.take<Value>(tokens * shape.query_width);
        layer.feed_forward_unit = arena.take<Value>(tokens * shape.padded_width);
        layer.inner = arena.take<Value>(tokens * shape.padded_inner * shape.inner_sections);
        layer.attention_inverse = arena.take<float>(tokens);
        layer.feed_forward_inverse = arena.take<float>(tokens);
        layer.head_inverses = arena.take<float>(tokens * (shape.heads + shape.kv_heads));
        layer.log_sums = arena.take<float>(tokens * shape.heads);
    }
    x = arena.take<float>(tokens * shape.padded_width);
    x_gradient = arena.take<float>(tokens * shape.padded_width);
    wide = arena.take<float>(tokens * shape.padded_width);
    raw_heads = arena.take<float>(static_cast<int64_t>(kProjectionRows) * shape.projected_width);
    embedding_inverse = arena.take<float>(tokens);
    final_inverse = arena.take<float>(tokens);
    final_unit = arena.take<Value>(tokens * shape.padded_width);
    x_gradient_rounded = arena.take<Value>(tokens * shape.padded_width);
    gained = arena.take<Value>(tokens * shape.padded_width);
    activated = arena.take<Value>(tokens * shape.padded_inner);
    inner_gradient = arena.take<Value>(tokens * shape.padded_inner * shape.inner_sections);
    attended_gradient = arena.take<Value>(tokens * shape.query_width);
    projected_gradient = arena.take<Value>(tokens * shape.projected_width);

    const int64_t affordable = kLogitsBytes / (4 * shape.padded_vocabulary) / 32 * 32;
    loss_rows = static_cast<int>(std::min<int64_t>(std::max<int64_t>(affordable, 32), rows));
    logits = arena.take<float>(static_cast<int64_t>(loss_rows) * shape.padded_vocabulary);
    logits_gradient = arena.take<Value>(static_cast<int64_t>(loss_rows) * shape.padded_vocabulary);
    const int widest = std::max({shape.padded_width, shape.query_width, shape.padded_inner});
    transposed = arena.take<Word>(transposed_scratch(widest));
    factors = arena.take<float>(64);
    attention.place(arena, shape.padded_context, shape.padded_head);
}

template struct Workspace<Bfloat16>;
template struct Workspace<Float32>;

}  // namespace treadle
