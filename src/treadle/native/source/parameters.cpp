#include "parameters.h"

#include <cstring>

namespace treadle {

Parameters::Parameters(const Shape& shape, bool bfloat16)
    : layers(static_cast<size_t>(shape.layers)), shape_(shape), bfloat16_(bfloat16) {
    embedding.rows = shape.padded_vocabulary;
    embedding.columns = shape.padded_width;
    list_.push_back({"embedding.weight", &embedding, 0, embedding.rows, shape.vocabulary, shape.width});
    if (shape.positions == TREADLE_LEARNED) {
        position.rows = round_up(shape.context, 64);
        position.columns = shape.padded_width;
        list_.push_back({"position.weight", &position, 0, position.rows, shape.context, shape.width});
    }
    if (shape.embedding_norm) name_norm("embedding_norm", embedding_norm);
    for (int layer = 0; layer < shape.layers; layer++) name_layer(layer);
    name_norm("norm", norm);
    if (!shape.tied_embeddings) {
        head_.rows = shape.padded_vocabulary;
        head_.columns = shape.padded_width;
        list_.push_back({"head.weight", &head_, 0, head_.rows, shape.vocabulary, shape.width});
    }
    give_offsets();
}

void Parameters::name_norm(const std::string& name, NormTensors& tensors) {
    if (!shape_.norm_gain) return;
    tensors.gain.rows = shape_.padded_width;
    list_.push_back({name + ".weight", &tensors.gain, 0, shape_.padded_width, shape_.width, 0});
    if (!shape_.norm_bias()) return;
    tensors.bias.rows = shape_.padded_width;
    list_.push_back({name + ".bias", &tensors.bias, 0, shape_.padded_width, shape_.width, 0});
}

// `section` gives the rows and columns that the linear layer takes of its tensor; the tensor grows to hold them.
void Parameters::name_linear(const std::string& name, Tensor& weight, Tensor& bias, Parameter section) {
    section.first_row = weight.rows;
    weight.rows += section.padded_rows;
    section.name = name + ".weight";
    section.tensor = &weight;
    list_.push_back(section);
    if (!shape_.bias) return;
    bias.rows = weight.rows;
    section.name = name + ".bias";
    section.tensor = &bias;
    section.columns = 0;
    section.column_axis = Axis::kPlain;
    list_.push_back(section);
}

void Parameters::name_layer(int index) {
    LayerTensors& layer = layers[static_cast<size_t>(index)];
    const std::string block = "layers." + std::to_string(index);
    const int queries = shape_.heads * shape_.head_width;
    const int keys = shape_.kv_heads * shape_.head_width;
    const Parameter query{"", nullptr, 0, shape_.query_width, queries, shape_.width, Axis::kHeads};
    const Parameter key{"", nullptr, 0, shape_.key_width, keys, shape_.width, Axis::kHeads};
    const Parameter output{"", nullptr, 0, shape_.padded_width, shape_.width, queries, Axis::kPlain, Axis::kHeads};
    const Parameter up{"", nullptr, 0, shape_.padded_inner, shape_.feed_forward, shape_.width};
    const Parameter down{"", nullptr, 0, shape_.padded_width, shape_.width, shape_.feed_forward};
    layer.projections.columns = layer.inner.columns = shape_.padded_width;
    layer.output.columns = shape_.query_width;
    layer.down.columns = shape_.padded_inner;

    name_norm(block + ".attention_norm", layer.attention_norm);
    name_linear(block + ".attention.query", layer.projections, layer.projections_bias, query);
    name_linear(block + ".attention.key", layer.projections, layer.projections_bias, key);
    name_linear(block + ".attention.value", layer.projections, layer.projections_bias, key);
    if (shape_.head_gain()) {
        layer.query_gain.rows = layer.key_gain.rows = shape_.padded_head;
        Parameter gain{block + ".attention.query_norm.weight", &layer.query_gain, 0, shape_.padded_head,
                       shape_.head_width, 0, Axis::kHeads};
        list_.push_back(gain);
        gain.name = block + ".attention.key_norm.weight";
        gain.tensor = &layer.key_gain;
        list_.push_back(gain);
    }
    name_linear(block + ".attention.output", layer.output, layer.output_bias, output);
    name_norm(block + ".feed_forward_norm", layer.feed_forward_norm);
    if (shape_.activation == TREADLE_SWIGLU) {
        name_linear(block + ".feed_forward.gate", layer.inner, layer.inner_bias, up);
    }
    name_linear(block + ".feed_forward.up", layer.inner, layer.inner_bias, up);
    name_linear(block + ".feed_forward.down", layer.down, layer.down_bias, down);
}

// Matrices first, vectors last: a step clears the vectors' gradients in one go, matrices are overwritten.
void Parameters::give_offsets() {
    for (int vectors = 0; vectors < 2; vectors++) {
        if (vectors) vectors_start_ = size_;
        const Tensor* previous = nullptr;
        for (const Parameter& parameter : list_) {
            Tensor* tensor = const_cast<Tensor*>(parameter.tensor);
            const bool is_vector = parameter.columns == 0;
            if (is_vector != (vectors == 1) || parameter.first_row > 0 || tensor == previous) continue;
            tensor->offset = size_;
            size_ += (tensor->size() + 63) / 64 * 64;
            previous = tensor;
        }
    }
}

void Parameters::place_packs(Arena& arena) {
    const int per_word = bfloat16_ ? 2 : 1;
    for (const Parameter& parameter : list_) {
        const bool is_head = parameter.tensor == &embedding && shape_.tied_embeddings;
        const bool looked_up = !is_head && (parameter.tensor == &position || parameter.tensor == &embedding);
        if (parameter.columns == 0 || parameter.first_row > 0 || looked_up) continue;
        Tensor* tensor = const_cast<Tensor*>(parameter.tensor);
        tensor->forward = arena.take<Word>(tensor->size() / per_word);
        tensor->backward = arena.take<Word>(tensor->size() / per_word);
    }
}

int Parameters::padded_index(Axis axis, int natural) const {
    if (axis == Axis::kPlain) return natural;
    const int head = natural / shape_.head_width;
    const int within = natural % shape_.head_width;
    const int place = within < shape_.half_head ? within : shape_.padded_half + within - shape_.half_head;
    return head * shape_.padded_head + place;
}

void Parameters::read(const Parameter& parameter, const float* inside, float* outside) const {
    const int columns = parameter.columns ? parameter.columns : 1;
    for (int row = 0; row < parameter.rows; row++) {
        const int64_t start = static_cast<int64_t>(padded_index(parameter.row_axis, row)) * parameter.tensor->columns;
        for (int column = 0; column < columns; column++) {
            *outside++ = inside[parameter.offset() + start + padded_index(parameter.column_axis, column)];
        }
    }
}

void Parameters::write(const Parameter& parameter, const float* outside, float* inside) const {
    const int columns = parameter.columns ? parameter.columns : 1;
    std::memset(inside + parameter.offset(), 0, sizeof(float) * static_cast<size_t>(parameter.size()));
    for (int row = 0; row < parameter.rows; row++) {
        const int64_t start = static_cast<int64_t>(padded_index(parameter.row_axis, row)) * parameter.tensor->columns;
        for (int column = 0; column < columns; column++) {
            inside[parameter.offset() + start + padded_index(parameter.column_axis, column)] = *outside++;
        }
    }
}

}  // namespace treadle
