// Drives the generation engine through every shape, format and call, for builds under sanitizers: exit code 0 is the test.
#include <cstring>

#include "engine_interface.h"
#include "exercise.h"

namespace {

struct Block {
    explicit Block(int64_t bytes) : place(std::aligned_alloc(64, static_cast<size_t>(bytes))) {
        std::memset(place, 0, static_cast<size_t>(bytes));
    }
    ~Block() { std::free(place); }
    void* place;
};

void pack(const TreadleShape& shape, int32_t format, void* block, int64_t bytes) {
    TreadlePacker* packer = nullptr;
    require(treadle_packer_create(&shape, format, block, bytes, &packer));
    for (int32_t index = 0; index < treadle_packer_count(packer); index++) {
        TreadleParameter parameter;
        require(treadle_packer_parameter(packer, index, &parameter));
        const std::vector<float> values = random_weight(parameter, 4000.0f);
        require(treadle_packer_write(packer, index, values.data(), static_cast<int64_t>(values.size())));
    }
    treadle_packer_destroy(packer);
}

void feed(TreadleEngine* engine, const TreadleShape& shape) {
    std::vector<int32_t> tokens, slots, positions, wanted;
    for (int32_t slot = 0; slot < 4; slot++) {
        for (int32_t position = 0; position < shape.context; position++) {
            if (position % 3 == 0) wanted.push_back(static_cast<int32_t>(tokens.size()));
            tokens.push_back(static_cast<int32_t>(next_random() % static_cast<uint32_t>(shape.vocabulary)));
            slots.push_back(slot);
            positions.push_back(position);
        }
    }
    std::vector<float> logits(wanted.size() * static_cast<size_t>(shape.vocabulary));
    const TreadleEngineRows rows = {tokens.data(), slots.data(), positions.data(), static_cast<int32_t>(tokens.size()),
                                    wanted.data(), static_cast<int32_t>(wanted.size())};
    require(treadle_engine_step(engine, &rows, logits.data()));
    for (float value : logits) {
        if (!std::isfinite(value)) std::exit(3);
    }
    if (treadle_engine_held(engine, 3) != shape.context) std::exit(4);
    std::vector<float> states(wanted.size() * static_cast<size_t>(shape.width));
    require(treadle_engine_states(engine, &rows, states.data()));
    for (float value : states) {
        if (!std::isfinite(value)) std::exit(6);
    }
}

void write(TreadleEngine* engine, const TreadleShape& shape) {
    const std::vector<int32_t> prompt = {1, 0, 2, 3, 1};
    const int32_t ids[] = {2, 4};
    const double bias[] = {1.5, -2.0};
    for (int32_t slot = 0; slot < 4; slot++) {
        const double temperature = slot == 0 ? 0.0 : 0.5 * slot;
        const TreadleText text = {prompt.data(), static_cast<int32_t>(prompt.size()) - slot, 0, 2 * shape.context,
                                  7u, temperature, slot == 1 ? 0.8 : 1.0, slot == 2 ? 0.05 : 0.0, 1.1, 0.1, 0.2,
                                  slot == 3 ? 5 : 0, ids, bias, 2, slot % 2, slot};
        require(treadle_engine_begin(engine, slot, &text));
        if (treadle_engine_read(engine, slot) >= static_cast<int64_t>(prompt.size())) std::exit(7);
    }
    std::vector<TreadleBurst> bursts(4);
    std::vector<int32_t> tokens(4 * 8);
    std::vector<double> logs(tokens.size());
    for (int32_t left = 4, count = 0; left > 0;) {
        require(treadle_engine_write(engine, 0.001, 8, bursts.data(), &count, tokens.data(), logs.data()));
        for (int32_t i = 0; i < count; i++) {
            const TreadleBurst& burst = bursts[static_cast<size_t>(i)];
            std::vector<int32_t> likely(static_cast<size_t>(burst.count * burst.alternatives + 1));
            std::vector<double> likely_logs(likely.size());
            require(treadle_engine_alternatives(engine, burst.slot, likely.data(), likely_logs.data()));
            if (bursts[static_cast<size_t>(i)].ending == TREADLE_GOING) continue;
            require(treadle_engine_forget(engine, bursts[static_cast<size_t>(i)].slot));
            left--;
        }
    }
}

void exercise(const TreadleShape& shape, int32_t format, const std::vector<int32_t>& teams) {
    int64_t bytes = 0;
    require(treadle_engine_weight_bytes(&shape, format, &bytes));
    const Block block(bytes);
    pack(shape, format, block.place, bytes);
    const uint64_t before = treadle_engine_checksum(block.place, bytes);
    const TreadleEnginePlan plan = {format, 3, 4};
    TreadleEngine* engine = nullptr;
    require(treadle_engine_create(&shape, &plan, block.place, bytes, &engine));
    for (int32_t threads : teams) {
        require(treadle_engine_use_threads(engine, threads));
        feed(engine, shape);
        write(engine, shape);
    }
    TreadleEngine* draft = nullptr;  // The same weights guess for themselves.
    const TreadleEnginePlan alone = {format, 1, 4};
    require(treadle_engine_create(&shape, &alone, block.place, bytes, &draft));
    require(treadle_engine_use_draft(engine, draft, 3));
    write(engine, shape);
    treadle_engine_destroy(engine);
    treadle_engine_destroy(draft);
    if (treadle_engine_checksum(block.place, bytes) != before) std::exit(5);
}

}  // namespace

int main() {
    // layers, width, heads, kv_heads, head_width, feed_forward, vocabulary, context, norm, norm_gain, positions, qk_norm,
    // activation, bias, tied_embeddings, embedding_norm, norm_epsilon, rope_base, logit_soft_cap, dropout
    const TreadleShape shapes[] = {
        {2, 24, 4, 2, 6, 64, 70, 20, TREADLE_RMSNORM, 1, TREADLE_ROPE, 1, TREADLE_SWIGLU, 0, 0, 0, 1e-6f, 1e4f, 0, 0},
        {1, 96, 3, 3, 32, 100, 33, 17, TREADLE_LAYERNORM, 1, TREADLE_LEARNED, 0, TREADLE_GELU, 1, 1, 1, 1e-5f, 1e4f, 0, 0},
        {2, 130, 6, 3, 36, 70, 129, 35, TREADLE_LAYERNORM, 0, TREADLE_ROPE, 1, TREADLE_RELU2, 1, 0, 1, 1e-6f, 1e4f, 9, 0},
        {1, 8, 1, 1, 160, 8, 5, 4, TREADLE_RMSNORM, 0, TREADLE_LEARNED, 0, TREADLE_SWIGLU, 0, 1, 0, 1e-6f, 1e4f, 0, 0},
    };
    for (const TreadleShape& shape : shapes) {
        // How a team grows and shrinks does not depend on the shape: the first, a small one, shows it.
        const std::vector<int32_t> teams = &shape == shapes ? std::vector<int32_t>{0, 3, 1, 2} : std::vector<int32_t>{3};
        for (int32_t format = TREADLE_ENGINE_FLOAT32; format <= TREADLE_ENGINE_INT4; format++) exercise(shape, format, teams);
    }
    return 0;
}
