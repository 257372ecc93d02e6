// The weights of an engine: one block of memory, laid out by shape and format alone, so that a file can hold it as it is.
#pragma once

#include <vector>

#include "engine_format.h"
#include "parameters.h"

namespace treadle {

// Rows of one kind within the projections' panels; see `HeadUnits`.
struct EngineLayer {
    const float *attention_gain, *attention_bias;
    const float *feed_forward_gain, *feed_forward_bias;
    const float *query_gain, *key_gain;
    Matrix projections;
    const float* projections_bias;  // [queries, keys, values], padded.
    Matrix output;
    const float* output_bias;
    Matrix inner;                   // Gate and up panels in turns, or only up.
    const float* inner_bias;        // [gate, up], padded.
    Matrix down;
    const float* down_bias;
};

// Key heads that a thread takes together with their query heads, so that what it projects is what it attends to. Heads
// are multiples of 32 wide and panels 64: a unit is one key head, or two of an odd number of 32s.
struct HeadUnits {
    explicit HeadUnits(const Shape& shape)
        : heads(shape.padded_head % kPanel ? 2 : 1), count((shape.kv_heads + heads - 1) / heads),
          group(shape.heads / shape.kv_heads), key_heads(shape.kv_heads),
          query_stride(heads * group * shape.padded_head / kPanel), key_stride(heads * shape.padded_head / kPanel),
          query_panels(shape.query_width / kPanel), key_panels(shape.key_width / kPanel) {}

    // First query panel and first key panel of a unit; for `count`, one past the last.
    int first_query(int unit) const { return unit < count ? unit * query_stride : query_panels; }
    int first_key(int unit) const { return unit < count ? unit * key_stride : key_panels; }
    // Place of a unit's first panel among all: its queries, its keys, its values.
    int first_panel(int unit) const { return first_query(unit) + 2 * first_key(unit); }
    int panels(int unit) const { return first_panel(unit + 1) - first_panel(unit); }
    int first_head(int unit) const { return unit * heads; }
    int last_head(int unit) const { return (unit + 1) * heads < key_heads ? (unit + 1) * heads : key_heads; }

    int heads;  // Key heads of a unit; the last one may have one less.
    int count;
    int group;  // Query heads of a key head.
    int key_heads;
    int query_stride, key_stride, query_panels, key_panels;
};

class EngineWeights {
  public:
    // `block` may be null to learn the size.
    EngineWeights(const Shape& shape, Format format, std::byte* block);
    EngineWeights(const EngineWeights&) = delete;
    EngineWeights& operator=(const EngineWeights&) = delete;

    int64_t bytes() const { return used_; }
    Format format() const { return format_; }
    const std::vector<Parameter>& list() const { return parameters_.list(); }

    // Packs one weight, given in its natural layout; the block must be writable and zero before the first.
    void write(const Parameter& parameter, const float* values);
    // Fills what follows from the shape alone.
    void write_tables();

    // Row `token` of the embedding.
    void look_up(int token, float* row) const;

    const float *embedding_gain, *embedding_bias;
    const float* positions;  // [context][padded width]; null with rotary ones.
    const float *cosines, *sines;
    const float* mask;       // 1 for real channels, 0 for padding.
    const float *gain, *bias;
    Matrix head;
    std::vector<EngineLayer> layers;

  private:
    void place();
    void place_layer(EngineLayer& layer);
    template <class T>
    T* take(int64_t count);
    const float* take_vector(int64_t count) { return take<float>(count); }
    Matrix take_matrix(int64_t rows, int columns, Format format);
    void write_matrix(const Parameter& parameter, const float* rows);
    void write_vector(const Parameter& parameter, const float* values);
    int panel_place(const Parameter& parameter, int panel) const;
    bool is_head(const Parameter& parameter) const { return parameter.tensor == &parameters_.head(); }

    const Shape& shape_;
    Format format_;
    HeadUnits units_;
    Parameters parameters_;
    std::byte* block_;
    int64_t used_ = 0;
    std::byte* table_ = nullptr;  // Embedding rows: float32, or half precision.
};

}  // namespace treadle
