#include "engine.h"

#include <algorithm>
#include <cmath>

namespace treadle {

Operand take_operand(Format format, int rows, int columns, Arena& arena) {
    const int64_t count = static_cast<int64_t>(rows) * columns;
    const int64_t groups = whole_numbers(format) ? count / kHalfGroup : 0;
    return {arena.take<std::byte>(operand_bytes(format, count)), arena.take<float>(groups), arena.take<int32_t>(groups),
            columns};
}

void EngineScratch::place(const Shape& shape, Format format, const HeadUnits& units, Arena& arena) {
    int widest = 0;
    int queries = 0;
    for (int unit = 0; unit < units.count; unit++) {
        widest = std::max(widest, units.panels(unit) * kPanel);
        queries = std::max(queries, (units.first_query(unit + 1) - units.first_query(unit)) * kPanel);
    }
    normed = arena.take<float>(static_cast<int64_t>(kStepRows) * shape.padded_width);
    input = take_operand(format, kStepRows, shape.padded_width, arena);
    heads = arena.take<float>(static_cast<int64_t>(kStepRows) * widest);
    query = arena.take<float>(shape.padded_head);
    attended = arena.take<float>(kTogether * queries);
    scores = arena.take<float>(static_cast<int64_t>(kTogether) * round_up(shape.context, 16));
    tile = arena.take<float>(kStepRows * kPanel);
    gate = arena.take<float>(kStepRows * kPanel);
}

Engine::Engine(const TreadleShape& shape, const EnginePlan& plan, std::byte* block)
    : shape_(shape), plan_(plan), units_(shape_), weights_(shape_, plan.format, block),
      crew_(block ? plan.threads : 1), pace_(plan.threads), cached_context_(round_up(shape.context, 16)),
      scratch_(static_cast<size_t>(plan.threads)) {}

void Engine::place(Arena& arena) {
    const int element = plan_.format == Format::kFloat32 ? 4 : 2;
    const int64_t of_head = 2LL * cached_context_ * shape_.padded_head * element;
    cache_ = arena.take<std::byte>(of_head * shape_.layers * plan_.slots * shape_.kv_heads);
    x_ = arena.take<float>(static_cast<int64_t>(kStepRows) * shape_.padded_width);
    attended_ = take_operand(plan_.format, kStepRows, shape_.query_width, arena);
    activated_ = take_operand(plan_.format, kStepRows, shape_.padded_inner, arena);
    for (EngineScratch& scratch : scratch_) scratch.place(shape_, plan_.format, units_, arena);
}

std::unique_ptr<Engine> Engine::create(const TreadleShape& shape, const EnginePlan& plan, const std::byte* block) {
    std::unique_ptr<Engine> engine(new Engine(shape, plan, const_cast<std::byte*>(block)));
    Arena counting;
    engine->place(counting);
    if (!engine->arena_.allocate(counting.used())) return nullptr;
    engine->place(engine->arena_);
    return engine;
}

int64_t Engine::memory_required(const TreadleShape& shape, const EnginePlan& plan) {
    Engine counted(shape, plan, nullptr);
    Arena counting;
    counted.place(counting);
    return static_cast<int64_t>(counting.used()) + 64;
}

int64_t Engine::weights_required(const TreadleShape& shape, Format format) {
    const Shape padded(shape);
    return EngineWeights(padded, format, nullptr).bytes();
}

void Engine::step(const StepRows& rows) {
    int wanted = 0;
    for (int start = 0; start < rows.count; start += kStepRows) {
        StepRows part = rows;
        part.tokens += start;
        part.slots += start;
        part.positions += start;
        part.count = std::min(kStepRows, rows.count - start);
        int32_t of_part[kStepRows];
        part.wanted_count = 0;
        if (rows.states) part.states = rows.states + static_cast<int64_t>(wanted) * shape_.width;
        else part.logits = rows.logits + static_cast<int64_t>(wanted) * shape_.vocabulary;
        while (wanted < rows.wanted_count && rows.wanted[wanted] < start + part.count) {
            of_part[part.wanted_count++] = rows.wanted[wanted++] - start;
        }
        part.wanted = of_part;
        active_ = fixed_ ? fixed_ : pace_.threads(part.count);
        const double begin = seconds_now();
        crew_.run(active_, [&](int member) { forward(part, member); });
        const double end = seconds_now();
        pace_.took(part.count, end - begin, end);
    }
}

// Each member computes whole sums of its own heads and panels: how many members there are changes no bit.
void Engine::forward(const StepRows& rows, int member) {
    const EngineScratch& scratch = scratch_[static_cast<size_t>(member)];
    embed(rows, member);
    crew_.meet();
    for (int index = 0; index < shape_.layers; index++) {
        const EngineLayer& layer = weights_.layers[static_cast<size_t>(index)];
        normed(x_, rows.count, layer.attention_gain, layer.attention_bias, scratch);
        attention(rows, index, member);
        crew_.meet();
        add_product(layer.output, layer.output_bias, attended_, rows.count, member);
        crew_.meet();
        normed(x_, rows.count, layer.feed_forward_gain, layer.feed_forward_bias, scratch);
        feed_forward(rows, layer, member);
        crew_.meet();
        add_product(layer.down, layer.down_bias, activated_, rows.count, member);
        crew_.meet();
    }
    if (rows.wanted_count > 0) score(rows, member);
}

void Engine::embed(const StepRows& rows, int member) {
    const int width = shape_.padded_width;
    const EngineScratch& scratch = scratch_[static_cast<size_t>(member)];
    const Range mine = share(rows.count, member);
    for (int row = mine.first; row < mine.last; row++) {
        float* x = x_ + static_cast<int64_t>(row) * width;
        weights_.look_up(rows.tokens[row], x);
        if (weights_.positions) {
            const float* position = weights_.positions + static_cast<int64_t>(rows.positions[row]) * width;
            for (int i = 0; i < width; i += 16) store_lanes(x + i, load_lanes(x + i) + load_lanes(position + i));
        }
        if (!shape_.embedding_norm) continue;
        normed(x, 1, weights_.embedding_gain, weights_.embedding_bias, scratch);
        std::copy(scratch.normed, scratch.normed + width, x);
    }
}

// The residual stream after a norm, as floats and as an operand.
void Engine::normed(const float* x, int rows, const float* gain, const float* bias, const EngineScratch& scratch) const {
    const int width = shape_.padded_width;
    const Lanes count = lanes(static_cast<float>(shape_.width));
    for (int row = 0; row < rows; row++, x += width) {
        float* out = scratch.normed + static_cast<int64_t>(row) * width;
        Lanes mean = lanes(0.0f);
        if (shape_.layer_norm()) {
            for (int i = 0; i < width; i += 16) mean = mean + load_lanes(x + i);
            mean = lanes(total(mean)) / count;
        }
        Lanes squares = lanes(0.0f);
        for (int i = 0; i < width; i += 16) {
            const Lanes apart = shape_.layer_norm() ? (load_lanes(x + i) - mean) * load_lanes(weights_.mask + i)
                                                    : load_lanes(x + i);
            squares = fused(apart, apart, squares);
            store_lanes(out + i, apart);
        }
        const float variance = total(squares) / static_cast<float>(shape_.width);
        const Lanes inverse = lanes(1.0f / std::sqrt(variance + shape_.norm_epsilon));
        for (int i = 0; i < width; i += 16) {
            Lanes value = load_lanes(out + i) * inverse;
            if (gain) value = value * load_lanes(gain + i);
            if (bias) value = value + load_lanes(bias + i);
            store_lanes(out + i, value);
        }
        for (int group = 0; group < width / kGroup; group++) {
            store_group(plan_.format, scratch.input, row, group, out + group * kGroup);
        }
    }
}

// x += operand W^T + bias.
void Engine::add_product(const Matrix& matrix, const float* bias, const Operand& operand, int rows, int member) {
    const EngineScratch& scratch = scratch_[static_cast<size_t>(member)];
    const Range mine = share(matrix.panels, member);
    for (int panel = mine.first; panel < mine.last; panel++) {
        multiply(matrix, panel, operand, rows, scratch.tile);
        for (int row = 0; row < rows; row++) {
            float* x = x_ + static_cast<int64_t>(row) * shape_.padded_width + panel * kPanel;
            for (int i = 0; i < kPanel; i += 16) {
                Lanes value = load_lanes(scratch.tile + row * kPanel + i);
                if (bias) value = value + load_lanes(bias + panel * kPanel + i);
                store_lanes(x + i, load_lanes(x + i) + value);
            }
        }
    }
}

void Engine::feed_forward(const StepRows& rows, const EngineLayer& layer, int member) {
    const EngineScratch& scratch = scratch_[static_cast<size_t>(member)];
    const int sections = shape_.inner_sections;
    const Range mine = share(layer.inner.panels / sections, member);
    const float* gate_bias = layer.inner_bias;
    const float* up_bias = gate_bias && sections == 2 ? gate_bias + shape_.padded_inner : gate_bias;
    for (int panel = mine.first; panel < mine.last; panel++) {
        if (sections == 2) multiply(layer.inner, 2 * panel, scratch.input, rows.count, scratch.gate);
        const int up = sections == 2 ? 2 * panel + 1 : panel;
        multiply(layer.inner, up, scratch.input, rows.count, scratch.tile);
        for (int row = 0; row < rows.count; row++) {
            float* values = scratch.tile + row * kPanel;
            for (int i = 0; i < kPanel; i += 16) {
                Lanes value = load_lanes(values + i);
                if (up_bias) value = value + load_lanes(up_bias + panel * kPanel + i);
                if (shape_.activation == TREADLE_SWIGLU) {
                    Lanes gate = load_lanes(scratch.gate + row * kPanel + i);
                    if (gate_bias) gate = gate + load_lanes(gate_bias + panel * kPanel + i);
                    value = gate * sigmoid(gate) * value;
                } else if (shape_.activation == TREADLE_GELU) {
                    const Lanes cubic = fused(value * value, lanes(0.044715f), lanes(1.0f));
                    value = value * sigmoid(value * cubic * lanes(2.0f * 0.7978845608f));
                } else {
                    value = greater(value, lanes(0.0f));
                    value = value * value;
                }
                store_lanes(values + i, value);
            }
            store_group(plan_.format, activated_, row, panel, values);
        }
    }
}

void Engine::score(const StepRows& rows, int member) {
    const EngineScratch& scratch = scratch_[static_cast<size_t>(member)];
    const int width = shape_.padded_width;
    for (int i = 0; i < rows.wanted_count; i++) {
        const int64_t start = static_cast<int64_t>(i) * width;
        EngineScratch one = scratch;
        one.normed = scratch.normed + start;
        one.input = {scratch.input.values + operand_bytes(plan_.format, start), scratch.input.scales + start / kHalfGroup,
                     scratch.input.sums + start / kHalfGroup, width};
        normed(x_ + static_cast<int64_t>(rows.wanted[i]) * width, 1, weights_.gain, weights_.bias, one);
        if (rows.states && member == 0) {
            std::copy(one.normed, one.normed + shape_.width, rows.states + static_cast<int64_t>(i) * shape_.width);
        }
    }
    if (rows.states) return;
    const Lanes cap = lanes(shape_.logit_soft_cap);
    const Range mine = share(weights_.head.panels, member);
    for (int panel = mine.first; panel < mine.last; panel++) {
        multiply(weights_.head, panel, scratch.input, rows.wanted_count, scratch.tile);
        const int count = std::min(kPanel, shape_.vocabulary - panel * kPanel);
        for (int i = 0; i < rows.wanted_count; i++) {
            float* values = scratch.tile + i * kPanel;
            if (shape_.logit_soft_cap > 0) {
                for (int j = 0; j < kPanel; j += 16) {
                    store_lanes(values + j, cap * hyperbolic_tangent(load_lanes(values + j) / cap));
                }
            }
            std::copy(values, values + count,
                      rows.logits + static_cast<int64_t>(i) * shape_.vocabulary + panel * kPanel);
        }
    }
}

}  // namespace treadle
