// One pass of some sequences through the network, by one thread.
#pragma once

#include "dropout.h"
#include "loss.h"
#include "parameters.h"
#include "workspace.h"

namespace treadle {

// Sequences of one pass. In the buffers each takes `padded` rows; the rows after its end compute on token 0 and have no
// target: nothing flows back from them, and causality keeps them from what came before.
struct Sequences {
    const int32_t* inputs;
    const int32_t* targets;
    int count;
    int time;
    int64_t first_token;  // Number of the first token within the step, for dropout.

    int padded() const { return padded_time(time); }
    int rows() const { return count * padded(); }
    int64_t place(int row) const { return static_cast<int64_t>(row / padded()) * time + row % padded(); }
    bool real(int row) const { return row % padded() < time; }
    int input(int row) const { return real(row) ? inputs[place(row)] : 0; }
    int target(int row) const { return real(row) ? targets[place(row)] : -1; }
    int64_t token(int row) const { return real(row) ? first_token + place(row) : 0; }
    int position(int row) const { return row % padded(); }
};

template <class E>
class Network {
  public:
    using Value = typename E::Value;

    Network(const Shape& shape, const Parameters& parameters, const Tables& tables, const float* weights)
        : shape_(shape), parameters_(parameters), norm_(tables.norm(shape)), heads_(tables.heads(shape)),
          weights_(weights) {}

    // Sum of the losses, in nats; changes only the workspace.
    double evaluate(const Sequences& sequences, Workspace<E>& work) const;

    // Sum of the losses; gradients of `loss * loss_scale` are added to `gradients`, or replace them.
    double train(const Sequences& sequences, const Dropout& dropout, float loss_scale, float* gradients, bool add,
                 Workspace<E>& work) const;

  private:
    // Forward (forward.cpp).
    const Value* forward(const Sequences& sequences, const Dropout& dropout, Workspace<E>& work) const;
    void embed(const Sequences& sequences, Workspace<E>& work) const;
    void gather(const Sequences& sequences, float* rows) const;
    void project_heads(const Sequences& sequences, const LayerTensors& layer, const Value* input,
                       LayerActivations<E>& saved, Workspace<E>& work) const;
    void feed_forward(int rows, const LayerTensors& layer, const Value* input, LayerActivations<E>& saved,
                      Workspace<E>& work) const;
    void add_to_residual(const Sequences& sequences, const Tensor& weight, const Tensor& bias, const Value* input,
                         const Dropout& dropout, int site, Workspace<E>& work) const;
    const Value* normed(const NormTensors& norm, int rows, Value* unit, float* inverse, Workspace<E>& work) const;
    AttentionForward<E> head_group(int sequence, int padded, int key_head, const LayerActivations<E>& saved) const;

    // Backward (backward.cpp, backward_layer.cpp).
    void embed_backward(const Sequences& sequences, float* gradients, bool add, Workspace<E>& work) const;
    double loss(const Sequences& sequences, const Value* input, float scale, float* gradients, bool add,
                Workspace<E>& work) const;
    void attention_layer_backward(const Sequences& sequences, const LayerTensors& layer,
                                  const LayerActivations<E>& saved, float* gradients, bool add,
                                  Workspace<E>& work) const;
    void feed_forward_backward(int rows, const LayerTensors& layer, const LayerActivations<E>& saved, float* gradients,
                               bool add, Workspace<E>& work) const;
    void drop_gradient(const Sequences& sequences, const Dropout& dropout, int site, Workspace<E>& work) const;
    void norm_layer_backward(const NormTensors& norm, const Value* unit, const float* inverse, int rows, bool add_to_x,
                             float* gradients, Workspace<E>& work) const;
    void weight_gradient(const Tensor& weight, const Value* upstream, const Value* input, int rows, float* gradients,
                         bool add, Workspace<E>& work) const;
    const Value* gained_again(const NormTensors& norm, const Value* unit, int rows, Workspace<E>& work) const;
    void bias_gradient(const Tensor& bias, const Value* upstream, int rows, float* gradients) const;

    NormWeights values(const NormTensors& norm) const { return {values(norm.gain), values(norm.bias)}; }
    // Null for a tensor that the shape does not have.
    const float* values(const Tensor& tensor) const { return tensor.rows ? weights_ + tensor.offset : nullptr; }
    static float* place(float* gradients, const Tensor& tensor) {
        return tensor.rows ? gradients + tensor.offset : nullptr;
    }

    const Shape& shape_;
    const Parameters& parameters_;
    NormSettings norm_;
    HeadSettings heads_;
    const float* weights_;
};

}  // namespace treadle
