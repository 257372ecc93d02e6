// The buffers of one thread, and the constants that all threads read.
#pragma once

#include <vector>

#include "attention.h"
#include "norms.h"
#include "shape.h"

namespace treadle {

// Tables that depend on the shape alone.
struct Tables {
    void place(const Shape& shape, Arena& arena);
    void fill(const Shape& shape);

    NormSettings norm(const Shape& shape) const;
    HeadSettings heads(const Shape& shape) const;

    float* cosines;
    float* sines;
    float* mask;
};

// What one layer's forward pass keeps for its backward pass, for `rows` tokens.
template <class E>
struct LayerActivations {
    using Value = typename E::Value;
    Value* attention_unit;     // Normed input of attention, before the gain.
    Value* projected;          // Queries and keys (normed, rotated) and values.
    Value* units;              // Normed heads before gain and rotation; only where heads have gains.
    Value* attended;           // Output of attention, before its projection.
    Value* feed_forward_unit;
    Value* inner;              // Gate and up before the non-linearity.
    float* attention_inverse;
    float* feed_forward_inverse;
    float* head_inverses;      // [token][query heads, key heads]
    float* log_sums;           // [token][query heads]
};

template <class E>
struct Workspace {
    using Value = typename E::Value;

    // `rows`: tokens carried at once; a multiple of 32.
    void place(const Shape& shape, int rows, Arena& arena);

    std::vector<LayerActivations<E>> layers;
    float* x;                // Residual stream.
    float* x_gradient;
    float* wide;             // rows x width: gradients of normed inputs.
    float* raw_heads;        // kProjectionRows x projected width.
    float* embedding_inverse;
    float* final_inverse;
    Value* final_unit;
    Value* x_gradient_rounded;
    Value* gained;           // rows x width: normed inputs after their gain.
    Value* activated;        // rows x inner: output of the non-linearity.
    Value* inner_gradient;
    Value* attended_gradient;
    Value* projected_gradient;
    float* logits;           // loss_rows x vocabulary.
    Value* logits_gradient;
    Word* transposed;        // Scratch of multiply_transposed.
    float* factors;          // Dropout factors of one row of 64 channels.
    AttentionScratch<E> attention;
    int loss_rows;
};

// Rows whose raw queries and keys wait in float for their norm and rotation.
constexpr int kProjectionRows = 96;

}  // namespace treadle
