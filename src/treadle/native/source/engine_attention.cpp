// Attention over what a slot holds. Keys lie in blocks of 16 positions, [block][channel][16], values as
// [position][channel]: both are read forward, and a position's sums never depend on what stands beside it.
#include <cmath>

#include "engine.h"

namespace treadle {

namespace {

// Scores of some rows that follow each other in one text, so that each key is widened once for all of them. Channels take
// turns among four chains, in every batch alike.
template <int Rows, class Cache>
void score_block(const float* queries, int stride, const Cache* block, int channels, float* scores, int scores_stride) {
    Lanes chain[Rows][4];
    TREADLE_UNROLL
    for (int row = 0; row < Rows; row++) {
        TREADLE_UNROLL
        for (int j = 0; j < 4; j++) chain[row][j] = lanes(0.0f);
    }
    for (int i = 0; i < channels; i += 4) {
        TREADLE_UNROLL
        for (int j = 0; j < 4; j++) {
            const Lanes key = load_lanes(block + (i + j) * 16);
            TREADLE_UNROLL
            for (int row = 0; row < Rows; row++) {
                chain[row][j] = fused(key, lanes(queries[row * stride + i + j]), chain[row][j]);
            }
        }
    }
    TREADLE_UNROLL
    for (int row = 0; row < Rows; row++) {
        store_lanes(scores + row * scores_stride, (chain[row][0] + chain[row][1]) + (chain[row][2] + chain[row][3]));
    }
}

// Turns scores into shares that still have to be divided by their sum, which is returned.
float soften(float* scores, int count) {
    const Lanes lowest = lanes(-1e30f);
    Lanes most = lowest;
    for (int i = 0; i < count; i += 16) most = greater(most, first_lanes(load_lanes(scores + i), count - i, lowest));
    const Lanes top = lanes(greatest(most));
    Lanes added = lanes(0.0f);
    for (int i = 0; i < count; i += 16) {
        const Lanes share = first_lanes(exponential(load_lanes(scores + i) - top), count - i, lanes(0.0f));
        added = added + share;
        store_lanes(scores + i, share);
    }
    return total(added);
}

// Where the shares of some rows lie, and where their sums go. Row r sees `count + r` positions.
struct Mixing {
    const float* shares;
    int shares_stride;
    int count;
    const float* inverse;  // Of each row.
    float* out;
    int out_stride;
};

// out = sum of shares x values, for `Width` x 16 channels of `Rows` rows. Positions take turns among eight chains of a row
// in all: how many each channel has depends on the head's width alone, never on the batch.
template <int Rows, int Width, class Cache>
void mix(const Mixing& rows, const Cache* values, int stride) {
    constexpr int kTurns = 8 / Width;
    Lanes chain[Rows][kTurns][Width];
    TREADLE_UNROLL
    for (int row = 0; row < Rows; row++) {
        TREADLE_UNROLL
        for (int turn = 0; turn < kTurns; turn++) {
            TREADLE_UNROLL
            for (int j = 0; j < Width; j++) chain[row][turn][j] = lanes(0.0f);
        }
    }
    int shared = 0;  // Positions that all rows see.
    for (; shared + kTurns <= rows.count; shared += kTurns) {
        const Cache* value = values + static_cast<int64_t>(shared) * stride;
        TREADLE_UNROLL
        for (int turn = 0; turn < kTurns; turn++) {
            TREADLE_UNROLL
            for (int j = 0; j < Width; j++) {
                const Lanes one = load_lanes(value + turn * stride + j * 16);
                TREADLE_UNROLL
                for (int row = 0; row < Rows; row++) {
                    const Lanes share = lanes(rows.shares[row * rows.shares_stride + shared + turn]);
                    chain[row][turn][j] = fused(one, share, chain[row][turn][j]);
                }
            }
        }
    }
    TREADLE_UNROLL
    for (int row = 0; row < Rows; row++) {
        for (int position = shared; position < rows.count + row; position += kTurns) {
            TREADLE_UNROLL
            for (int turn = 0; turn < kTurns; turn++) {
                if (position + turn >= rows.count + row) break;
                const Cache* value = values + static_cast<int64_t>(position + turn) * stride;
                const Lanes share = lanes(rows.shares[row * rows.shares_stride + position + turn]);
                TREADLE_UNROLL
                for (int j = 0; j < Width; j++) {
                    chain[row][turn][j] = fused(load_lanes(value + j * 16), share, chain[row][turn][j]);
                }
            }
        }
        TREADLE_UNROLL
        for (int j = 0; j < Width; j++) {
            Lanes sum = chain[row][0][j];
            TREADLE_UNROLL
            for (int turn = 1; turn < kTurns; turn++) sum = sum + chain[row][turn][j];
            store_lanes(rows.out + row * rows.out_stride + j * 16, sum * lanes(rows.inverse[row]));
        }
    }
}

// The same for all channels of a head.
template <int Rows, class Cache>
void mix_head(Mixing rows, const Cache* values, int head) {
    int i = 0;
    for (; i + 64 <= head; i += 64, rows.out += 64) mix<Rows, 4>(rows, values + i, head);
    for (; i < head; i += 32, rows.out += 32) mix<Rows, 2>(rows, values + i, head);
}

// One head of `Rows` rows that follow each other, over the keys and values of their text.
template <int Rows, class Cache>
void attend_head(const float* queries, int stride, const Cache* keys, int64_t values_offset, int head, int scores_stride,
                 float* scores, const Mixing& first) {
    const int most = first.count + Rows - 1;
    for (int block = 0; block * 16 < most; block++) {
        score_block<Rows>(queries, stride, keys + static_cast<int64_t>(block) * head * 16, head, scores + block * 16,
                          scores_stride);
    }
    float inverse[Rows];
    for (int row = 0; row < Rows; row++) inverse[row] = 1.0f / soften(scores + row * scores_stride, first.count + row);
    constexpr int kAtOnce = Rows >= 2 ? 2 : 1;
    for (int row = 0; row < Rows; row += kAtOnce) {
        mix_head<kAtOnce>({scores + row * scores_stride, scores_stride, first.count + row, inverse + row,
                           first.out + row * first.out_stride, first.out_stride},
                          keys + values_offset, head);
    }
}

// A key goes to its position's place in a block: one value for each channel, 16 apart.
template <class Cache>
void scatter(const float* key, int channels, Cache* place) {
    Cache some[16];
    for (int i = 0; i < channels; i += 16) {
        store_lanes(some, load_lanes(key + i));
        for (int j = 0; j < 16; j++) place[(i + j) * 16] = some[j];
    }
}

}  // namespace

// Norm, gain and rotation of one head, in place.
void Engine::turn_head(float* head, int position, const float* gain) const {
    const int half = shape_.padded_half;
    Lanes scale = lanes(1.0f);
    if (shape_.qk_norm) {
        Lanes squares = lanes(0.0f);
        for (int i = 0; i < 2 * half; i += 16) squares = fused(load_lanes(head + i), load_lanes(head + i), squares);
        const float mean = total(squares) / static_cast<float>(shape_.head_width);
        scale = lanes(1.0f / std::sqrt(mean + shape_.norm_epsilon));
    }
    const float* cosines = weights_.cosines + static_cast<int64_t>(position) * half;
    const float* sines = weights_.sines + static_cast<int64_t>(position) * half;
    for (int i = 0; i < half; i += 16) {
        Lanes first = load_lanes(head + i) * scale;
        Lanes second = load_lanes(head + half + i) * scale;
        if (gain) {
            first = first * load_lanes(gain + i);
            second = second * load_lanes(gain + half + i);
        }
        const Lanes cosine = load_lanes(cosines + i);
        const Lanes sine = load_lanes(sines + i);
        store_lanes(head + i, first * cosine - second * sine);
        store_lanes(head + half + i, second * cosine + first * sine);
    }
}

// Keys of one head of a slot; its values follow them.
template <class Cache>
Cache* Engine::keys(int layer, int slot, int head) const {
    const int64_t index = (static_cast<int64_t>(slot) * shape_.layers + layer) * shape_.kv_heads + head;
    return reinterpret_cast<Cache*>(cache_) + index * 2 * cached_context_ * shape_.padded_head;
}

void Engine::copy_prefix(int from, int to, int count) {
    const int64_t element = plan_.format == Format::kFloat32 ? 4 : 2;
    const int64_t row = element * shape_.padded_head;
    const int64_t values = row * cached_context_;  // They follow the keys, which lie in whole blocks.
    const int64_t slot = 2 * values * shape_.layers * shape_.kv_heads;
    for (int64_t place = 0; place < slot; place += 2 * values) {
        const std::byte* source = cache_ + from * slot + place;
        std::byte* target = cache_ + to * slot + place;
        std::memcpy(target, source, static_cast<size_t>(row * round_up(count, 16)));
        std::memcpy(target + values, source + values, static_cast<size_t>(row * count));
    }
}

// Projections of this member's units, then their attention: nobody else is waited for in between.
void Engine::attention(const StepRows& rows, int index, int member) {
    const EngineScratch& scratch = scratch_[static_cast<size_t>(member)];
    const EngineLayer& layer = weights_.layers[static_cast<size_t>(index)];
    const Range mine = share(units_.count, member);
    for (int unit = mine.first; unit < mine.last; unit++) {
        const int panels = units_.panels(unit);
        const int queries = units_.first_query(unit + 1) - units_.first_query(unit);
        const int keys = (panels - queries) / 2;
        for (int panel = 0; panel < panels; panel++) {
            multiply(layer.projections, units_.first_panel(unit) + panel, scratch.input, rows.count,
                     scratch.tile);
            int bias = 0;
            if (panel < queries) bias = (units_.first_query(unit) + panel) * kPanel;
            else if (panel < queries + keys) bias = shape_.query_width + (units_.first_key(unit) + panel - queries) * kPanel;
            else bias = shape_.query_width + shape_.key_width + (units_.first_key(unit) + panel - queries - keys) * kPanel;
            for (int row = 0; row < rows.count; row++) {
                float* out = scratch.heads + static_cast<int64_t>(row) * panels * kPanel + panel * kPanel;
                for (int i = 0; i < kPanel; i += 16) {
                    Lanes value = load_lanes(scratch.tile + row * kPanel + i);
                    if (layer.projections_bias) value = value + load_lanes(layer.projections_bias + bias + i);
                    store_lanes(out + i, value);
                }
            }
        }
        if (plan_.format == Format::kFloat32) attend<float>(rows, index, unit, scratch);
        else attend<Half>(rows, index, unit, scratch);
    }
}

template <class Cache>
void Engine::attend(const StepRows& rows, int index, int unit, const EngineScratch& scratch) {
    const EngineLayer& layer = weights_.layers[static_cast<size_t>(index)];
    const int head = shape_.padded_head;
    const int stride = units_.panels(unit) * kPanel;
    const int queries = (units_.first_query(unit + 1) - units_.first_query(unit)) * kPanel;
    const int keys_width = (stride - queries) / 2;
    const int64_t values_offset = static_cast<int64_t>(cached_context_) * head;
    // First what this step adds, for all rows: a later row of a slot sees the earlier ones.
    for (int row = 0; row < rows.count; row++) {
        const int position = rows.positions[row];
        for (int key = units_.first_head(unit); key < units_.last_head(unit); key++) {
            float* raw = scratch.heads + static_cast<int64_t>(row) * stride + queries +
                         (key - units_.first_head(unit)) * head;
            turn_head(raw, position, layer.key_gain);
            Cache* cached = keys<Cache>(index, rows.slots[row], key);
            Cache* block = cached + static_cast<int64_t>(position / 16) * head * 16 + position % 16;
            scatter(raw, head, block);
            Cache* value = cached + values_offset + static_cast<int64_t>(position) * head;
            for (int i = 0; i < head; i += 16) store_lanes(value + i, load_lanes(raw + keys_width + i));
        }
    }
    const Lanes scale = lanes(1.0f / std::sqrt(static_cast<float>(shape_.head_width)));
    const int first_group = units_.first_query(unit);
    const int scores_stride = round_up(shape_.context, 16);
    for (int row = 0; row < rows.count;) {
        int together = 1;
        while (together < kTogether && row + together < rows.count && rows.slots[row + together] == rows.slots[row]) {
            together++;
        }
        if (together < kTogether) together = 1;
        std::memset(scratch.attended, 0, sizeof(float) * static_cast<size_t>(together * queries));
        for (int key = units_.first_head(unit); key < units_.last_head(unit); key++) {
            const Cache* cached = keys<Cache>(index, rows.slots[row], key);
            for (int member = 0; member < units_.group; member++) {
                const int place = ((key - units_.first_head(unit)) * units_.group + member) * head;
                float* query = scratch.heads + static_cast<int64_t>(row) * stride + place;
                for (int one = 0; one < together; one++) {
                    float* turned = query + static_cast<int64_t>(one) * stride;
                    turn_head(turned, rows.positions[row + one], layer.query_gain);
                    for (int i = 0; i < head; i += 16) store_lanes(turned + i, load_lanes(turned + i) * scale);
                }
                const Mixing first{nullptr, 0, rows.positions[row] + 1, nullptr, scratch.attended + place, queries};
                if (together == 1) {
                    attend_head<1>(query, stride, cached, values_offset, head, scores_stride, scratch.scores, first);
                } else {
                    attend_head<kTogether>(query, stride, cached, values_offset, head, scores_stride, scratch.scores, first);
                }
            }
        }
        for (int one = 0; one < together; one++) {
            for (int group = 0; group < queries / kGroup; group++) {
                store_group(plan_.format, attended_, row + one, first_group + group,
                            scratch.attended + one * queries + group * kGroup);
            }
        }
        row += together;
    }
}

}  // namespace treadle
