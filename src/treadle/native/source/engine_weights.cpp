#include "engine_weights.h"

#include <algorithm>
#include <cmath>

namespace treadle {

EngineWeights::EngineWeights(const Shape& shape, Format format, std::byte* block)
    : layers(static_cast<size_t>(shape.layers)), shape_(shape), format_(format), units_(shape),
      parameters_(shape, false), block_(block) {
    place();
}

template <class T>
T* EngineWeights::take(int64_t count) {
    used_ = (used_ + 63) / 64 * 64;
    T* place = block_ ? reinterpret_cast<T*>(block_ + used_) : nullptr;
    used_ += static_cast<int64_t>(sizeof(T)) * count;
    return place;
}

Matrix EngineWeights::take_matrix(int64_t rows, int columns, Format format) {
    const int panels = static_cast<int>(rows / kPanel);
    return {take<std::byte>(panels * panel_bytes(format, columns)), panels, columns, format};
}

// In the order in which a step reads them.
void EngineWeights::place() {
    const int width = shape_.padded_width;
    const int64_t table = static_cast<int64_t>(shape_.padded_context) * shape_.padded_half;
    auto vector = [&](bool there, int64_t count) { return there ? take_vector(count) : nullptr; };
    mask = take_vector(width);
    cosines = take_vector(table);
    sines = take_vector(table);
    table_ = take<std::byte>(static_cast<int64_t>(shape_.padded_vocabulary) * width *
                             (format_ == Format::kFloat32 ? 4 : 2));
    positions = vector(shape_.positions == TREADLE_LEARNED, static_cast<int64_t>(round_up(shape_.context, 64)) * width);
    embedding_gain = vector(shape_.embedding_norm && shape_.norm_gain, width);
    embedding_bias = vector(shape_.embedding_norm && shape_.norm_bias(), width);
    for (EngineLayer& layer : layers) place_layer(layer);
    gain = vector(shape_.norm_gain, width);
    bias = vector(shape_.norm_bias(), width);
    head = take_matrix(shape_.padded_vocabulary, width, head_format(format_));
    used_ = (used_ + 63) / 64 * 64;
}

void EngineWeights::place_layer(EngineLayer& layer) {
    const int width = shape_.padded_width;
    const int inner = shape_.padded_inner * shape_.inner_sections;
    auto vector = [&](bool there, int64_t count) { return there ? take_vector(count) : nullptr; };
    layer.attention_gain = vector(shape_.norm_gain, width);
    layer.attention_bias = vector(shape_.norm_bias(), width);
    layer.query_gain = vector(shape_.head_gain(), shape_.padded_head);
    layer.key_gain = vector(shape_.head_gain(), shape_.padded_head);
    layer.projections_bias = vector(shape_.bias, shape_.projected_width);
    layer.projections = take_matrix(shape_.projected_width, width, format_);
    layer.output_bias = vector(shape_.bias, width);
    layer.output = take_matrix(width, shape_.query_width, format_);
    layer.feed_forward_gain = vector(shape_.norm_gain, width);
    layer.feed_forward_bias = vector(shape_.norm_bias(), width);
    layer.inner_bias = vector(shape_.bias, inner);
    layer.inner = take_matrix(inner, width, format_);
    layer.down_bias = vector(shape_.bias, width);
    layer.down = take_matrix(width, shape_.padded_inner, format_);
}

void EngineWeights::write(const Parameter& parameter, const float* values) {
    // The same weight as if it were alone in its tensor: the padded copy is no larger than itself.
    Tensor alone = *parameter.tensor;
    alone.offset = 0;
    Parameter copy = parameter;
    copy.tensor = &alone;
    copy.first_row = 0;
    std::vector<float> padded(static_cast<size_t>(copy.size()));
    parameters_.write(copy, values, padded.data());
    if (parameter.columns == 0 || parameter.tensor == &parameters_.position) write_vector(parameter, padded.data());
    else write_matrix(parameter, padded.data());
}

void EngineWeights::write_matrix(const Parameter& parameter, const float* rows) {
    const int columns = parameter.tensor->columns;
    if (parameter.tensor == &parameters_.embedding) {
        const int64_t count = static_cast<int64_t>(shape_.padded_vocabulary) * columns;
        for (int64_t i = 0; i < count; i += 16) {
            if (format_ == Format::kFloat32) store_lanes(reinterpret_cast<float*>(table_) + i, load_lanes(rows + i));
            else store_lanes(reinterpret_cast<Half*>(table_) + i, load_lanes(rows + i));
        }
        if (!is_head(parameter)) return;
    }
    Matrix target = head;
    for (size_t i = 0; i < layers.size(); i++) {
        const LayerTensors& tensors = parameters_.layers[i];
        if (parameter.tensor == &tensors.projections) target = layers[i].projections;
        if (parameter.tensor == &tensors.output) target = layers[i].output;
        if (parameter.tensor == &tensors.inner) target = layers[i].inner;
        if (parameter.tensor == &tensors.down) target = layers[i].down;
    }
    for (int panel = 0; panel < parameter.padded_rows / kPanel; panel++) {
        std::byte* place = const_cast<std::byte*>(target.data) +
                           panel_place(parameter, panel) * panel_bytes(target.format, columns);
        pack_panel(target.format, rows + static_cast<int64_t>(panel) * kPanel * columns, columns, place);
    }
}

// Where panel number `panel` of a weight lies among the panels of its matrix.
int EngineWeights::panel_place(const Parameter& parameter, int panel) const {
    for (const LayerTensors& tensors : parameters_.layers) {
        if (parameter.tensor == &tensors.inner && shape_.inner_sections == 2) {
            return 2 * panel + (parameter.first_row > 0 ? 1 : 0);
        }
        if (parameter.tensor != &tensors.projections) continue;
        const bool query = parameter.first_row == 0;
        int unit = 0;
        while ((query ? units_.first_query(unit + 1) : units_.first_key(unit + 1)) <= panel) unit++;
        const int queries = units_.first_query(unit + 1) - units_.first_query(unit);
        const int keys = units_.first_key(unit + 1) - units_.first_key(unit);
        if (query) return units_.first_panel(unit) + panel - units_.first_query(unit);
        const bool value = parameter.first_row > shape_.query_width;
        return units_.first_panel(unit) + queries + (value ? keys : 0) + panel - units_.first_key(unit);
    }
    return panel;
}

void EngineWeights::write_vector(const Parameter& parameter, const float* values) {
    const Tensor* tensor = parameter.tensor;
    const float* target = nullptr;
    auto match = [&](const Tensor& one, const float* place) {
        if (tensor == &one) target = place;
    };
    match(parameters_.position, positions);
    match(parameters_.embedding_norm.gain, embedding_gain);
    match(parameters_.embedding_norm.bias, embedding_bias);
    match(parameters_.norm.gain, gain);
    match(parameters_.norm.bias, bias);
    for (size_t i = 0; i < layers.size(); i++) {
        const LayerTensors& tensors = parameters_.layers[i];
        match(tensors.attention_norm.gain, layers[i].attention_gain);
        match(tensors.attention_norm.bias, layers[i].attention_bias);
        match(tensors.feed_forward_norm.gain, layers[i].feed_forward_gain);
        match(tensors.feed_forward_norm.bias, layers[i].feed_forward_bias);
        match(tensors.query_gain, layers[i].query_gain);
        match(tensors.key_gain, layers[i].key_gain);
        match(tensors.projections_bias, layers[i].projections_bias);
        match(tensors.output_bias, layers[i].output_bias);
        match(tensors.inner_bias, layers[i].inner_bias);
        match(tensors.down_bias, layers[i].down_bias);
    }
    std::copy(values, values + parameter.size(), const_cast<float*>(target) + parameter.first_row);
}

void EngineWeights::write_tables() {
    auto writable = [](const float* place) { return const_cast<float*>(place); };
    std::fill(writable(mask), writable(mask) + shape_.width, 1.0f);
    for (int i = 0; i < shape_.padded_half; i++) {
        const double frequency = std::pow(static_cast<double>(shape_.rope_base), -2.0 * i / shape_.head_width);
        const bool turns = shape_.positions == TREADLE_ROPE && i < shape_.half_head;
        for (int position = 0; position < shape_.padded_context; position++) {
            const int64_t place = static_cast<int64_t>(position) * shape_.padded_half + i;
            writable(cosines)[place] = turns ? static_cast<float>(std::cos(position * frequency)) : 1.0f;
            writable(sines)[place] = turns ? static_cast<float>(std::sin(position * frequency)) : 0.0f;
        }
    }
}

void EngineWeights::look_up(int token, float* row) const {
    const int64_t start = static_cast<int64_t>(token) * shape_.padded_width;
    for (int i = 0; i < shape_.padded_width; i += 16) {
        const Lanes value = format_ == Format::kFloat32 ? load_lanes(reinterpret_cast<const float*>(table_) + start + i)
                                                        : load_lanes(reinterpret_cast<const Half*>(table_) + start + i);
        store_lanes(row + i, value);
    }
}

}  // namespace treadle
