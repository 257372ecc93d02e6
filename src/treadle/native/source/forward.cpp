#include <cmath>

#include "activations.h"
#include "network.h"
#include "products.h"

namespace treadle {

// Returns what the head reads: the normed residual stream.
template <class E>
const typename E::Value* Network<E>::forward(const Sequences& sequences, const Dropout& dropout,
                                             Workspace<E>& work) const {
    const int rows = sequences.rows();
    embed(sequences, work);
    for (int index = 0; index < shape_.layers; index++) {
        const LayerTensors& layer = parameters_.layers[static_cast<size_t>(index)];
        LayerActivations<E>& saved = work.layers[static_cast<size_t>(index)];

        const Value* input = normed(layer.attention_norm, rows, saved.attention_unit, saved.attention_inverse, work);
        project_heads(sequences, layer, input, saved, work);
        for (int sequence = 0; sequence < sequences.count; sequence++) {
            for (int head = 0; head < shape_.kv_heads; head++) {
                attention_forward<E>(head_group(sequence, sequences.padded(), head, saved), work.attention);
            }
        }
        add_to_residual(sequences, layer.output, layer.output_bias, saved.attended, dropout, 2 * index, work);

        input = normed(layer.feed_forward_norm, rows, saved.feed_forward_unit, saved.feed_forward_inverse, work);
        feed_forward(rows, layer, input, saved, work);
        add_to_residual(sequences, layer.down, layer.down_bias, work.activated, dropout, 2 * index + 1, work);
    }
    return normed(parameters_.norm, rows, work.final_unit, work.final_inverse, work);
}

// Rows of embeddings, plus positions where those are learned.
template <class E>
void Network<E>::gather(const Sequences& sequences, float* rows) const {
    const int width = shape_.padded_width;
    const float* embedding = values(parameters_.embedding);
    const float* positions = values(parameters_.position);
    for (int row = 0; row < sequences.rows(); row++, rows += width) {
        const float* token = embedding + static_cast<int64_t>(sequences.input(row)) * width;
        const float* position = positions ? positions + static_cast<int64_t>(sequences.position(row)) * width : nullptr;
        for (int i = 0; i < width; i += kLanes) {
            store(rows + i, position ? load(token + i) + load(position + i) : load(token + i));
        }
    }
}

template <class E>
void Network<E>::embed(const Sequences& sequences, Workspace<E>& work) const {
    if (!shape_.embedding_norm) return gather(sequences, work.x);
    gather(sequences, work.wide);
    // The rows before the gain are computed again in the backward pass; where there is no gain they are the result.
    const NormTensors& norm = parameters_.embedding_norm;
    norm_forward<Float32>(norm_, values(norm), work.wide, sequences.rows(), work.x, work.embedding_inverse, work.x);
}

// The residual stream after a norm. `unit` keeps it before the gain; without a gain that is the result.
template <class E>
const typename E::Value* Network<E>::normed(const NormTensors& norm, int rows, Value* unit, float* inverse,
                                            Workspace<E>& work) const {
    norm_forward<E>(norm_, values(norm), work.x, rows, unit, inverse, work.gained);
    return norm.gain.rows ? work.gained : unit;
}

template <class E>
void Network<E>::project_heads(const Sequences& sequences, const LayerTensors& layer, const Value* input,
                               LayerActivations<E>& saved, Workspace<E>& work) const {
    const int width = shape_.projected_width;
    const int head = shape_.padded_head;
    const int unit_width = shape_.query_width + shape_.key_width;
    const int heads = shape_.heads + shape_.kv_heads;
    const float* bias = values(layer.projections_bias);
    for (int start = 0; start < sequences.rows(); start += kProjectionRows) {
        const int count = std::min(kProjectionRows, sequences.rows() - start);
        multiply_into<E>({count, width, shape_.padded_width}, input + static_cast<int64_t>(start) * shape_.padded_width,
                         layer.projections.forward, work.raw_heads, width, false);
        for (int row = start; row < start + count; row++) {
            float* raw = work.raw_heads + static_cast<int64_t>(row - start) * width;
            Value* out = saved.projected + static_cast<int64_t>(row) * width;
            if (bias) for (int i = 0; i < width; i += kLanes) store(raw + i, load(raw + i) + load(bias + i));
            for (int i = 0; i < heads; i++) {
                const bool query = i < shape_.heads;
                const int place = query ? i * head : shape_.query_width + (i - shape_.heads) * head;
                Value* units = saved.units + static_cast<int64_t>(row) * unit_width;
                Value* unit = shape_.head_gain() ? units + place : nullptr;
                head_forward<E>(heads_, sequences.position(row), raw + place,
                                values(query ? layer.query_gain : layer.key_gain), out + place, unit,
                                saved.head_inverses + static_cast<int64_t>(row) * heads + i);
            }
            narrow<E>(raw + unit_width, out + unit_width, shape_.key_width);
        }
    }
}

template <class E>
AttentionForward<E> Network<E>::head_group(int sequence, int padded, int key_head,
                                           const LayerActivations<E>& saved) const {
    const int group = shape_.heads / shape_.kv_heads;
    const int64_t row = static_cast<int64_t>(sequence) * padded;
    const Value* start = saved.projected + row * shape_.projected_width;
    const int first_query = key_head * group;
    AttentionForward<E> result;
    result.time = padded;
    result.head = shape_.padded_head;
    result.group = group;
    result.scale = 1.0f / std::sqrt(static_cast<float>(shape_.head_width));
    result.queries = start + first_query * shape_.padded_head;
    result.keys = start + shape_.query_width + key_head * shape_.padded_head;
    result.values = result.keys + shape_.key_width;
    result.stride = shape_.projected_width;
    result.output = saved.attended + row * shape_.query_width + first_query * shape_.padded_head;
    result.output_stride = shape_.query_width;
    result.log_sums = saved.log_sums + row * shape_.heads + first_query;
    result.log_sum_stride = shape_.heads;
    return result;
}

template <class E>
void Network<E>::feed_forward(int rows, const LayerTensors& layer, const Value* input, LayerActivations<E>& saved,
                              Workspace<E>& work) const {
    const int inner = shape_.padded_inner;
    const int64_t saved_width = static_cast<int64_t>(inner) * shape_.inner_sections;
    const float* bias = values(layer.inner_bias);
    const int activation = shape_.activation;
    // Panels come gate first, then up, for the same rows: an up tile finds its gate in the cache.
    auto finish = [&](int row, int column, const float* sums) {
        Value* kept = saved.inner + row * saved_width + column;
        const bool gate = activation == TREADLE_SWIGLU && column < inner;
        Value* out = work.activated + static_cast<int64_t>(row) * inner + (column >= inner ? column - inner : column);
        for (int i = 0; i < kPanel; i += kLanes) {
            Vec value = load(sums + i);
            if (bias) value = value + load(bias + column + i);
            if (activation == TREADLE_RELU2) value = maximum(value, zero());
            E::store(kept + i, value);
            if (gate) continue;
            if (activation == TREADLE_SWIGLU) {
                const Vec before = E::load(kept - inner + i);
                value = value * before * sigmoid(before);
            } else {
                value = value * (activation == TREADLE_GELU ? gelu_gate(value) : value);
            }
            E::store(out + i, value);
        }
    };
    multiply_with<E>({rows, static_cast<int>(saved_width), shape_.padded_width}, input, layer.inner.forward, finish);
}

template <class E>
void Network<E>::add_to_residual(const Sequences& sequences, const Tensor& weight, const Tensor& bias,
                                 const Value* input, const Dropout& dropout, int site, Workspace<E>& work) const {
    const int width = shape_.padded_width;
    const Extents extents{sequences.rows(), width, weight.columns};
    if (!bias.rows && !dropout.on()) return multiply_into<E>(extents, input, weight.forward, work.x, width, true);
    const float* shift = values(bias);
    multiply_with<E>(extents, input, weight.forward, [&](int row, int column, const float* sums) {
        float* x = work.x + static_cast<int64_t>(row) * width + column;
        if (dropout.on()) dropout.factors(site, sequences.token(row), column, kPanel, work.factors);
        for (int i = 0; i < kPanel; i += kLanes) {
            Vec value = load(sums + i);
            if (shift) value = value + load(shift + column + i);
            if (dropout.on()) value = value * load(work.factors + i);
            store(x + i, load(x + i) + value);
        }
    });
}

template <class E>
double Network<E>::evaluate(const Sequences& sequences, Workspace<E>& work) const {
    return loss(sequences, forward(sequences, Dropout{}, work), 0.0f, nullptr, false, work);
}

template class Network<Bfloat16>;
template class Network<Float32>;

}  // namespace treadle
