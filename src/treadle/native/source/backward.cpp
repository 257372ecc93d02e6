#include <algorithm>

#include "activations.h"
#include "network.h"
#include "products.h"

namespace treadle {

template <class E>
double Network<E>::train(const Sequences& sequences, const Dropout& dropout, float loss_scale, float* gradients,
                         bool add, Workspace<E>& work) const {
    const int rows = sequences.rows();
    if (!add) {
        const size_t vectors = static_cast<size_t>(parameters_.size() - parameters_.vectors_start());
        std::memset(gradients + parameters_.vectors_start(), 0, sizeof(float) * vectors);
    }
    const double result = loss(sequences, forward(sequences, dropout, work), loss_scale, gradients, add, work);
    norm_layer_backward(parameters_.norm, work.final_unit, work.final_inverse, rows, false, gradients, work);
    for (int index = shape_.layers - 1; index >= 0; index--) {
        const LayerTensors& layer = parameters_.layers[static_cast<size_t>(index)];
        const LayerActivations<E>& saved = work.layers[static_cast<size_t>(index)];
        drop_gradient(sequences, dropout, 2 * index + 1, work);
        feed_forward_backward(rows, layer, saved, gradients, add, work);
        drop_gradient(sequences, dropout, 2 * index, work);
        attention_layer_backward(sequences, layer, saved, gradients, add, work);
    }
    embed_backward(sequences, gradients, add, work);
    return result;
}

// Head and cross-entropy, some rows at a time, so that logits never fill tokens x vocabulary. Without `gradients` only
// the loss; with them also the head's gradient, and the gradient of the final norm's output in `work.wide`.
template <class E>
double Network<E>::loss(const Sequences& sequences, const Value* input, float scale, float* gradients, bool add,
                        Workspace<E>& work) const {
    const int rows = sequences.rows();
    const int width = shape_.padded_width;
    const int vocabulary = shape_.padded_vocabulary;
    const Tensor& head = parameters_.head();
    const LossSettings settings{shape_.vocabulary, vocabulary, shape_.logit_soft_cap, scale};
    double total = 0.0;
    for (int start = 0; start < rows; start += work.loss_rows) {
        const int count = std::min(work.loss_rows, rows - start);
        const Value* some = input + static_cast<int64_t>(start) * width;
        multiply_into<E>({count, vocabulary, width}, some, head.forward, work.logits, vocabulary, false);
        for (int row = 0; row < count; row++) {
            const int64_t place = static_cast<int64_t>(row) * vocabulary;
            total += cross_entropy<E>(settings, work.logits + place, sequences.target(start + row),
                                      gradients ? work.logits_gradient + place : nullptr);
        }
        if (!gradients) continue;
        multiply_into<E>({count, width, vocabulary}, work.logits_gradient, head.backward,
                         work.wide + static_cast<int64_t>(start) * width, width, false);
        weight_gradient(head, work.logits_gradient, some, count, gradients, add || start > 0, work);
    }
    return total;
}

template <class E>
void Network<E>::norm_layer_backward(const NormTensors& norm, const Value* unit, const float* inverse, int rows,
                                     bool add_to_x, float* gradients, Workspace<E>& work) const {
    norm_backward<E>(norm_, work.wide, unit, inverse, values(norm.gain), rows,
                     {work.x_gradient, add_to_x, work.x_gradient_rounded, place(gradients, norm.gain),
                      place(gradients, norm.bias)});
}

template <class E>
void Network<E>::weight_gradient(const Tensor& weight, const Value* upstream, const Value* input, int rows,
                                 float* gradients, bool add, Workspace<E>& work) const {
    multiply_transposed<E>({weight.rows, weight.columns, rows}, upstream, weight.rows, input, weight.columns,
                           place(gradients, weight), add, work.transposed);
}

// The forward pass keeps normed rows before their gain only: that is what the gain's gradient needs.
template <class E>
const typename E::Value* Network<E>::gained_again(const NormTensors& norm, const Value* unit, int rows,
                                                  Workspace<E>& work) const {
    if (!norm.gain.rows) return unit;
    norm_gain<E>(norm_, values(norm), unit, rows, work.gained);
    return work.gained;
}

template <class E>
void Network<E>::bias_gradient(const Tensor& bias, const Value* upstream, int rows, float* gradients) const {
    if (!bias.rows) return;
    float* out = place(gradients, bias);
    for (int row = 0; row < rows; row++, upstream += bias.rows) {
        for (int i = 0; i < bias.rows; i += kLanes) store(out + i, load(out + i) + E::load(upstream + i));
    }
}

// What flows back into a sub-layer whose output was dropped: the residual's gradient under the same factors.
template <class E>
void Network<E>::drop_gradient(const Sequences& sequences, const Dropout& dropout, int site,
                               Workspace<E>& work) const {
    if (!dropout.on()) return;
    for (int row = 0; row < sequences.rows(); row++) {
        const int64_t start = static_cast<int64_t>(row) * shape_.padded_width;
        for (int column = 0; column < shape_.padded_width; column += kPanel) {
            dropout.factors(site, sequences.token(row), column, kPanel, work.factors);
            for (int i = 0; i < kPanel; i += kLanes) {
                E::store(work.x_gradient_rounded + start + column + i,
                         load(work.x_gradient + start + column + i) * load(work.factors + i));
            }
        }
    }
}

template <class E>
void Network<E>::feed_forward_backward(int rows, const LayerTensors& layer, const LayerActivations<E>& saved,
                                       float* gradients, bool add, Workspace<E>& work) const {
    const int inner = shape_.padded_inner;
    const int64_t kept_width = static_cast<int64_t>(inner) * shape_.inner_sections;
    const int activation = shape_.activation;
    auto finish = [&](int row, int column, const float* sums) {
        const Value* kept = saved.inner + row * kept_width + column;
        Value* gradient = work.inner_gradient + row * kept_width + column;
        Value* out = work.activated + static_cast<int64_t>(row) * inner + column;
        for (int i = 0; i < kPanel; i += kLanes) {
            const Vec upstream = load(sums + i);
            const Vec value = E::load(kept + i);
            if (activation == TREADLE_RELU2) {
                E::store(gradient + i, upstream * (value + value));
                E::store(out + i, value * value);
            } else if (activation == TREADLE_GELU) {
                const Vec gate = gelu_gate(value);
                E::store(gradient + i, upstream * gelu_slope(value, gate));
                E::store(out + i, value * gate);
            } else {
                const Vec up = E::load(kept + inner + i);
                const Vec gate = sigmoid(value);
                E::store(gradient + i, upstream * up * silu_slope(value, gate));
                E::store(gradient + inner + i, upstream * value * gate);
                E::store(out + i, up * value * gate);
            }
        }
    };
    multiply_with<E>({rows, inner, shape_.padded_width}, work.x_gradient_rounded, layer.down.backward, finish);
    weight_gradient(layer.down, work.x_gradient_rounded, work.activated, rows, gradients, add, work);
    bias_gradient(layer.down_bias, work.x_gradient_rounded, rows, gradients);

    multiply_into<E>({rows, shape_.padded_width, static_cast<int>(kept_width)}, work.inner_gradient,
                     layer.inner.backward, work.wide, shape_.padded_width, false);
    const Value* input = gained_again(layer.feed_forward_norm, saved.feed_forward_unit, rows, work);
    weight_gradient(layer.inner, work.inner_gradient, input, rows, gradients, add, work);
    bias_gradient(layer.inner_bias, work.inner_gradient, rows, gradients);
    norm_layer_backward(layer.feed_forward_norm, saved.feed_forward_unit, saved.feed_forward_inverse, rows, true,
                        gradients, work);
}

template <class E>
void Network<E>::attention_layer_backward(const Sequences& sequences, const LayerTensors& layer,
                                          const LayerActivations<E>& saved, float* gradients, bool add,
                                          Workspace<E>& work) const {
    const int rows = sequences.rows();
    const int width = shape_.padded_width;
    multiply_with<E>({rows, shape_.query_width, width}, work.x_gradient_rounded, layer.output.backward,
                     [&](int row, int column, const float* sums) {
                         const int64_t place = static_cast<int64_t>(row) * shape_.query_width + column;
                         narrow<E>(sums, work.attended_gradient + place, kPanel);
                     });
    weight_gradient(layer.output, work.x_gradient_rounded, saved.attended, rows, gradients, add, work);
    bias_gradient(layer.output_bias, work.x_gradient_rounded, rows, gradients);

    const int64_t unit_width = shape_.query_width + shape_.key_width;
    const int64_t heads = shape_.heads + shape_.kv_heads;
    for (int sequence = 0; sequence < sequences.count; sequence++) {
        const int64_t row = static_cast<int64_t>(sequence) * sequences.padded();
        for (int head = 0; head < shape_.kv_heads; head++) {
            const AttentionForward<E> group = head_group(sequence, sequences.padded(), head, saved);
            const int64_t query = group.queries - saved.projected - row * shape_.projected_width;
            const int64_t key = group.keys - saved.projected - row * shape_.projected_width;
            const bool gains = shape_.head_gain();
            Value* raw = work.projected_gradient + row * shape_.projected_width;
            attention_backward<E>(group,
                                  {&heads_,
                                   work.attended_gradient + row * shape_.query_width + query,
                                   gains ? saved.units + row * unit_width + query : nullptr,
                                   gains ? saved.units + row * unit_width + key : nullptr,
                                   unit_width,
                                   saved.head_inverses + row * heads + head * group.group,
                                   saved.head_inverses + row * heads + shape_.heads + head,
                                   heads,
                                   values(layer.query_gain),
                                   values(layer.key_gain),
                                   place(gradients, layer.query_gain),
                                   place(gradients, layer.key_gain),
                                   raw + query,
                                   raw + key,
                                   raw + key + shape_.key_width},
                                  work.attention);
        }
    }
    multiply_into<E>({rows, width, shape_.projected_width}, work.projected_gradient, layer.projections.backward,
                     work.wide, width, false);
    const Value* input = gained_again(layer.attention_norm, saved.attention_unit, rows, work);
    weight_gradient(layer.projections, work.projected_gradient, input, rows, gradients, add, work);
    bias_gradient(layer.projections_bias, work.projected_gradient, rows, gradients);
    norm_layer_backward(layer.attention_norm, saved.attention_unit, saved.attention_inverse, rows, true, gradients,
                        work);
}

template <class E>
void Network<E>::embed_backward(const Sequences& sequences, float* gradients, bool add, Workspace<E>& work) const {
    const int width = shape_.padded_width;
    const int rows = sequences.rows();
    if (shape_.embedding_norm) {
        const NormTensors& norm = parameters_.embedding_norm;
        gather(sequences, work.x);
        norm_forward<Float32>(norm_, {}, work.x, rows, work.wide, work.embedding_inverse, nullptr);
        norm_backward<Float32>(norm_, work.x_gradient, work.wide, work.embedding_inverse, values(norm.gain), rows,
                               {work.x_gradient, false, nullptr, place(gradients, norm.gain),
                                place(gradients, norm.bias)});
    }
    const Tensor& embedding = parameters_.embedding;
    const Tensor& position = parameters_.position;
    float* token_gradient = place(gradients, embedding);
    float* position_gradient = place(gradients, position);
    if (!add && !shape_.tied_embeddings) {
        std::memset(token_gradient, 0, sizeof(float) * static_cast<size_t>(embedding.size()));
    }
    if (!add && position_gradient) {
        std::memset(position_gradient, 0, sizeof(float) * static_cast<size_t>(position.size()));
    }
    for (int row = 0; row < rows; row++) {
        if (!sequences.real(row)) continue;
        const float* gradient = work.x_gradient + static_cast<int64_t>(row) * width;
        float* token = token_gradient + static_cast<int64_t>(sequences.input(row)) * width;
        for (int i = 0; i < width; i += kLanes) store(token + i, load(token + i) + load(gradient + i));
        if (!position_gradient) continue;
        float* place_of = position_gradient + static_cast<int64_t>(sequences.position(row)) * width;
        for (int i = 0; i < width; i += kLanes) store(place_of + i, load(place_of + i) + load(gradient + i));
    }
}

template class Network<Bfloat16>;
template class Network<Float32>;

}  // namespace treadle
