// The list of weights: their names outside, their places inside.
#pragma once

#include <string>
#include <vector>

#include "arena.h"
#include "element.h"
#include "shape.h"

namespace treadle {

// How natural indices along one dimension lie in the padded one.
enum class Axis { kPlain, kHeads };

// A padded matrix of weights (columns 1: a vector) and everything that belongs to it.
struct Tensor {
    int64_t offset = 0;  // In each array of `State`, in values.
    int rows = 0;
    int columns = 1;
    Word* forward = nullptr;   // Packs; null for vectors and for embeddings that are only looked up.
    Word* backward = nullptr;

    int64_t size() const { return static_cast<int64_t>(rows) * columns; }
};

// A weight under its public name: some rows of a tensor.
struct Parameter {
    std::string name;
    const Tensor* tensor;
    int first_row;
    int padded_rows;
    int rows;
    int columns;  // 0 for a vector.
    Axis row_axis = Axis::kPlain;
    Axis column_axis = Axis::kPlain;

    int64_t offset() const { return tensor->offset + static_cast<int64_t>(first_row) * tensor->columns; }
    int64_t size() const { return static_cast<int64_t>(padded_rows) * tensor->columns; }
    int64_t natural_size() const { return static_cast<int64_t>(rows) * (columns ? columns : 1); }
};

// The optional parts are empty tensors (rows 0) where the shape has none.
struct NormTensors {
    Tensor gain, bias;
};

struct LayerTensors {
    NormTensors attention_norm, feed_forward_norm;
    Tensor projections, projections_bias;  // Rows: queries, keys, values.
    Tensor query_gain, key_gain;
    Tensor output, output_bias;
    Tensor inner, inner_bias;  // Rows: gate (swiglu only), up.
    Tensor down, down_bias;
};

// Weights, moments and gradient shards are arrays of the same layout.
class Parameters {
  public:
    Parameters(const Shape& shape, bool bfloat16);
    Parameters(const Parameters&) = delete;
    Parameters& operator=(const Parameters&) = delete;

    // Places the packs; on a counting arena they stay null.
    void place_packs(Arena& arena);

    const Tensor& head() const { return shape_.tied_embeddings ? embedding : head_; }
    // All values of one array; vectors come last, from `vectors_start` on.
    int64_t size() const { return size_; }
    int64_t vectors_start() const { return vectors_start_; }
    const std::vector<Parameter>& list() const { return list_; }

    // Copies between the natural layout outside and the padded one inside.
    void read(const Parameter& parameter, const float* inside, float* outside) const;
    void write(const Parameter& parameter, const float* outside, float* inside) const;

    Tensor embedding, position;
    NormTensors embedding_norm, norm;
    std::vector<LayerTensors> layers;

  private:
    void name_layer(int layer);
    void name_norm(const std::string& name, NormTensors& tensors);
    void name_linear(const std::string& name, Tensor& weight, Tensor& bias, Parameter section);
    void give_offsets();
    int padded_index(Axis axis, int natural) const;

    const Shape& shape_;
    bool bfloat16_;
    Tensor head_;
    std::vector<Parameter> list_;
    int64_t size_ = 0;
    int64_t vectors_start_ = 0;
};

}  // namespace treadle
