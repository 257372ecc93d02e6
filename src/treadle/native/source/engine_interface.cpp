// Checks what comes from outside and turns every failure into a code and a message.
#include "engine_interface.h"

#include "engine_writer.h"
#include "interface_checks.h"

struct TreadleEngine {
    explicit TreadleEngine(std::unique_ptr<treadle::Engine> made) : engine(std::move(made)), writer(*engine) {}
    std::unique_ptr<treadle::Engine> engine;
    treadle::Writer writer;
};

struct TreadlePacker {
    TreadlePacker(const TreadleShape& wanted, treadle::Format format, std::byte* block)
        : shape(wanted), weights(shape, format, block) {}
    treadle::Shape shape;
    treadle::EngineWeights weights;
};

namespace {

using treadle::check_range;
using treadle::check_ranges;
using treadle::fail;
using treadle::Format;
using treadle::guarded;
using treadle::Range;

int32_t check(const TreadleShape* shape, const TreadleEnginePlan& plan) {
    if (int32_t code = treadle::check_shape(shape, 1 << 20)) return code;
    const Range ranges[] = {
        {"format", plan.format, TREADLE_ENGINE_FLOAT32, TREADLE_ENGINE_INT4},
        {"threads", plan.threads, 1, 1024},
        {"slots", plan.slots, 1, 65536},
    };
    return check_ranges(ranges);
}

int32_t check_block(const TreadleShape& shape, int32_t format, const void* block, int64_t bytes) {
    const int64_t needed = treadle::Engine::weights_required(shape, static_cast<Format>(format));
    if (!block || reinterpret_cast<uintptr_t>(block) % 64) {
        return fail(TREADLE_INVALID, "packed weights must lie at a multiple of 64 bytes");
    }
    if (bytes == needed) return TREADLE_OK;
    return fail(TREADLE_INVALID, "packed weights of this shape take " + std::to_string(needed) + " bytes, not " +
                                     std::to_string(bytes));
}

// Rows of a slot within one step follow each other: attention reads what earlier rows of the step have added.
int32_t check_rows(const TreadleEngine& handle, const TreadleEngineRows& rows) {
    const treadle::Engine& engine = *handle.engine;
    const treadle::Shape& shape = engine.shape();
    std::vector<int32_t> next(static_cast<size_t>(engine.plan().slots), -1);
    for (int32_t i = 0; i < rows.count; i++) {
        const Range ranges[] = {{"a token", rows.tokens[i], 0, shape.vocabulary - 1},
                                {"a slot", rows.slots[i], 0, engine.plan().slots - 1},
                                {"a position", rows.positions[i], 0, shape.context - 1}};
        if (int32_t code = check_ranges(ranges)) return code;
        int32_t& expected = next[static_cast<size_t>(rows.slots[i])];
        if (expected >= 0 && rows.positions[i] != expected) {
            return fail(TREADLE_INVALID, "rows of one slot must have consecutive positions within a step");
        }
        if (expected < 0 && rows.positions[i] > handle.writer.held(rows.slots[i])) {
            return fail(TREADLE_INVALID, "a position comes after more tokens than the slot holds");
        }
        if (handle.writer.text(rows.slots[i])) return fail(TREADLE_INVALID, "a slot is busy writing a text");
        expected = rows.positions[i] + 1;
    }
    for (int32_t i = 0; i < rows.wanted_count; i++) {
        const Range range = {"a wanted row", rows.wanted[i], i ? rows.wanted[i - 1] + 1 : 0, rows.count - 1};
        if (int32_t code = check_range(range)) return code;
    }
    return TREADLE_OK;
}

}  // namespace

int32_t treadle_engine_weight_bytes(const TreadleShape* shape, int32_t format, int64_t* bytes) {
    return guarded([&]() -> int32_t {
        if (int32_t code = check(shape, {format, 1, 1})) return code;
        *bytes = treadle::Engine::weights_required(*shape, static_cast<Format>(format));
        return TREADLE_OK;
    });
}

int32_t treadle_engine_memory(const TreadleShape* shape, const TreadleEnginePlan* plan, int64_t* bytes) {
    return guarded([&]() -> int32_t {
        if (int32_t code = check(shape, *plan)) return code;
        *bytes = treadle::Engine::memory_required(*shape, {static_cast<Format>(plan->format), plan->threads, plan->slots});
        return TREADLE_OK;
    });
}

int32_t treadle_packer_create(const TreadleShape* shape, int32_t format, void* block, int64_t bytes,
                              TreadlePacker** result) {
    return guarded([&]() -> int32_t {
        if (int32_t code = check(shape, {format, 1, 1})) return code;
        if (int32_t code = check_block(*shape, format, block, bytes)) return code;
        auto packer = std::make_unique<TreadlePacker>(*shape, static_cast<Format>(format), static_cast<std::byte*>(block));
        packer->weights.write_tables();
        *result = packer.release();
        return TREADLE_OK;
    });
}

void treadle_packer_destroy(TreadlePacker* packer) { delete packer; }

int32_t treadle_packer_count(const TreadlePacker* packer) {
    return packer ? static_cast<int32_t>(packer->weights.list().size()) : 0;
}

int32_t treadle_packer_parameter(const TreadlePacker* packer, int32_t index, TreadleParameter* result) {
    return guarded([&]() -> int32_t {
        const Range range = {"parameter index", index, 0, treadle_packer_count(packer) - 1};
        if (int32_t code = check_range(range)) return code;
        treadle::describe(packer->weights.list()[static_cast<size_t>(index)], result);
        return TREADLE_OK;
    });
}

int32_t treadle_packer_write(TreadlePacker* packer, int32_t index, const float* values, int64_t count) {
    return guarded([&]() -> int32_t {
        const Range range = {"parameter index", index, 0, treadle_packer_count(packer) - 1};
        if (int32_t code = check_range(range)) return code;
        const treadle::Parameter& parameter = packer->weights.list()[static_cast<size_t>(index)];
        if (int32_t code = treadle::check_count(parameter, count)) return code;
        packer->weights.write(parameter, values);
        return TREADLE_OK;
    });
}

uint64_t treadle_engine_checksum(const void* block, int64_t bytes) {
    // Eight independent chains of multiply and xor: a changed, moved or missing byte changes the result.
    constexpr uint64_t kFactor = 0x9E3779B97F4A7C15u;
    uint64_t chain[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    const auto* from = static_cast<const unsigned char*>(block);
    int64_t place = 0;
    for (; place + 64 <= bytes; place += 64) {
        uint64_t words[8];
        std::memcpy(words, from + place, sizeof words);
        for (int i = 0; i < 8; i++) {
            chain[i] = (chain[i] ^ words[i]) * kFactor;
            chain[i] ^= chain[i] >> 29;
        }
    }
    uint64_t result = static_cast<uint64_t>(bytes);
    for (; place < bytes; place++) result = (result ^ from[place]) * kFactor;
    for (uint64_t one : chain) result = ((result ^ one) * kFactor) ^ (result >> 31);
    return result;
}

int32_t treadle_engine_create(const TreadleShape* shape, const TreadleEnginePlan* plan, const void* block,
                              int64_t bytes, TreadleEngine** result) {
    return guarded([&]() -> int32_t {
        if (!plan || !result) return fail(TREADLE_INVALID, "plan and result must be given");
        if (int32_t code = check(shape, *plan)) return code;
        if (int32_t code = check_block(*shape, plan->format, block, bytes)) return code;
        const treadle::EnginePlan wanted{static_cast<Format>(plan->format), plan->threads, plan->slots};
        auto engine = treadle::Engine::create(*shape, wanted, static_cast<const std::byte*>(block));
        if (!engine) return fail(TREADLE_OUT_OF_MEMORY, "the system refused the memory for keys, values and activations");
        *result = new TreadleEngine(std::move(engine));
        return TREADLE_OK;
    });
}

void treadle_engine_destroy(TreadleEngine* engine) { delete engine; }

int32_t treadle_engine_step(TreadleEngine* engine, const TreadleEngineRows* rows, float* logits) {
    return guarded([&]() -> int32_t {
        if (!engine || !rows) return fail(TREADLE_INVALID, "engine and rows must be given");
        if (int32_t code = check_rows(*engine, *rows)) return code;
        engine->writer.step({rows->tokens, rows->slots, rows->positions, rows->count, rows->wanted, rows->wanted_count,
                             logits});
        return TREADLE_OK;
    });
}

int32_t treadle_engine_states(TreadleEngine* engine, const TreadleEngineRows* rows, float* states) {
    return guarded([&]() -> int32_t {
        if (!engine || !rows || !states) return fail(TREADLE_INVALID, "engine, rows and states must be given");
        if (int32_t code = check_rows(*engine, *rows)) return code;
        engine->writer.step({rows->tokens, rows->slots, rows->positions, rows->count, rows->wanted, rows->wanted_count,
                             nullptr, states});
        return TREADLE_OK;
    });
}

int64_t treadle_engine_held(const TreadleEngine* engine, int32_t slot) {
    return engine && slot >= 0 && slot < engine->engine->plan().slots ? engine->writer.held(slot) : 0;
}

int32_t treadle_engine_use_threads(TreadleEngine* engine, int32_t threads) {
    if (!engine) return fail(TREADLE_INVALID, "an engine must be given");
    const Range range = {"threads", threads, 0, engine->engine->plan().threads};
    if (int32_t code = check_range(range)) return code;
    engine->engine->use_threads(threads);
    return TREADLE_OK;
}

int32_t treadle_engine_begin(TreadleEngine* engine, int32_t slot, const TreadleText* text) {
    return guarded([&]() -> int32_t {
        if (!engine || !text) return fail(TREADLE_INVALID, "engine and text must be given");
        const int64_t last_id = engine->engine->shape().vocabulary - 1;
        const Range ranges[] = {{"slot", slot, 0, engine->engine->plan().slots - 1},
                                {"prompt tokens", text->prompt_count, 1, INT32_MAX},
                                {"the boundary", text->boundary, 0, last_id},
                                {"tokens to write", text->most, 1, INT32_MAX},
                                {"alternatives", text->alternatives, 0, last_id + 1},
                                {"top_k", text->top_k, 0, INT64_MAX}};
        if (int32_t code = check_ranges(ranges)) return code;
        std::vector<int32_t> prompt(text->prompt, text->prompt + text->prompt_count);
        for (int32_t id : prompt) {
            const Range range = {"a prompt's token", id, 0, last_id};
            if (int32_t code = check_range(range)) return code;
        }
        std::vector<treadle::LogitBias> bias;
        for (int32_t i = 0; i < text->bias_count; i++) {
            const Range range = {"a token with a bias", text->bias_ids[i], 0, last_id};
            if (int32_t code = check_range(range)) return code;
            bias.push_back({text->bias_ids[i], text->bias[i]});
        }
        const treadle::DrawSettings settings{text->temperature, text->top_p, text->min_p, text->repetition_penalty,
                                             text->frequency_penalty, text->presence_penalty, text->top_k, text->seed,
                                             text->boundary};
        treadle::Sampler sampler(settings, engine->engine->shape().vocabulary, prompt, std::move(bias));
        const int64_t most = static_cast<int64_t>(prompt.size()) + text->most;
        engine->writer.begin(slot, treadle::Text{std::move(prompt), most, 0, 0, std::move(sampler), {}, false, {},
                                                 text->log_probabilities != 0, text->alternatives, {}, {}});
        return TREADLE_OK;
    });
}

int32_t treadle_engine_forget(TreadleEngine* engine, int32_t slot) {
    if (!engine) return fail(TREADLE_INVALID, "an engine must be given");
    const Range range = {"slot", slot, 0, engine->engine->plan().slots - 1};
    if (int32_t code = check_range(range)) return code;
    engine->writer.forget(slot);
    return TREADLE_OK;
}

int32_t treadle_engine_use_draft(TreadleEngine* engine, TreadleEngine* draft, int32_t ahead) {
    return guarded([&]() -> int32_t {
        if (!engine || !draft || engine == draft) return fail(TREADLE_INVALID, "an engine and another one must be given");
        const treadle::Shape& mine = engine->engine->shape();
        const treadle::Shape& small = draft->engine->shape();
        const Range ranges[] = {
            {"the draft's vocabulary", small.vocabulary, mine.vocabulary, mine.vocabulary},
            {"the draft's context", small.context, mine.context, INT32_MAX},
            {"the draft's slots", draft->engine->plan().slots, engine->engine->plan().slots, INT32_MAX},
            {"tokens to guess", ahead, -1, 63},
        };
        if (int32_t code = check_ranges(ranges)) return code;
        engine->writer.use_draft(*draft->engine, ahead);
        return TREADLE_OK;
    });
}

void treadle_engine_guesses(const TreadleEngine* engine, int64_t* guessed, int64_t* right) {
    const bool there = engine && engine->writer.drafter();
    *guessed = there ? engine->writer.drafter()->guessed() : 0;
    *right = there ? engine->writer.drafter()->right() : 0;
}

int64_t treadle_engine_read(const TreadleEngine* engine, int32_t slot) {
    if (!engine || slot < 0 || slot >= engine->engine->plan().slots) return 0;
    const treadle::Text* text = engine->writer.text(slot);
    return text ? text->fed - text->window : 0;
}

int32_t treadle_engine_write(TreadleEngine* engine, double seconds, int32_t most, TreadleBurst* bursts,
                             int32_t* burst_count, int32_t* tokens, double* logs) {
    return guarded([&]() -> int32_t {
        if (!engine || !bursts || !burst_count || !tokens || !logs) return fail(TREADLE_INVALID, "all arrays must be given");
        const Range range = {"tokens of a burst", most, 1, 1 << 20};
        if (int32_t code = check_range(range)) return code;
        engine->writer.write(seconds, most);
        *burst_count = 0;
        for (int32_t slot = 0; slot < engine->engine->plan().slots; slot++) {
            const treadle::Text* text = engine->writer.text(slot);
            if (!text) continue;
            bursts[(*burst_count)++] = {slot, static_cast<int32_t>(text->fresh.size()),
                                        static_cast<int32_t>(text->ending), text->with_logs, text->alternatives};
            std::copy(text->logs.begin(), text->logs.end(), logs);
            logs += text->fresh.size();
            tokens = std::copy(text->fresh.begin(), text->fresh.end(), tokens);
        }
        return TREADLE_OK;
    });
}

int32_t treadle_engine_alternatives(const TreadleEngine* engine, int32_t slot, int32_t* ids, double* logs) {
    if (!engine || !ids || !logs) return fail(TREADLE_INVALID, "all arrays must be given");
    const Range range = {"slot", slot, 0, engine->engine->plan().slots - 1};
    if (int32_t code = check_range(range)) return code;
    const treadle::Text* text = engine->writer.text(slot);
    if (!text) return fail(TREADLE_INVALID, "the slot has no text");
    for (const treadle::Likely& one : text->likely) {
        *ids++ = one.id;
        *logs++ = one.log_probability;
    }
    return TREADLE_OK;
}
