// AdamW and Muon, fused with the renewal of the packs.
#pragma once

#include "interface.h"
#include "parameters.h"

namespace treadle {

// Weights and moments, all in the layout of Parameters. `gradient` holds the summed gradient.
struct State {
    float* weights;
    float* first;   // First moment (AdamW) or momentum (Muon).
    float* second;  // AdamW only.
    float* gradient;
};

// Moves `count` values from `start` on.
void adamw(const State& state, const TreadleUpdate& update, const TreadleRule& rule, int64_t start, int64_t count);

// Scratch of one thread for Muon on matrices of up to `size` values and `smaller` rows or columns.
template <class E>
struct MuonScratch {
    using Value = typename E::Value;

    void place(Arena& arena, int64_t size, int64_t smaller, int64_t widest);

    Value* matrix[2];
    Value* gram_rounded;
    Value* total;
    Value* mixed;
    float* gram;
    float* square;
    Word* packs;
    Word* gram_packs;
    Word* transposed;
};

// Moves one matrix: Nesterov momentum, orthogonalised by Newton-Schulz rounds.
template <class E>
void muon(const Parameter& parameter, const State& state, const TreadleUpdate& update, const TreadleRule& rule,
          const MuonScratch<E>& scratch);

}  // namespace treadle
