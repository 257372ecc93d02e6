// Checks what comes from outside and turns every failure into a code and a message.
#include "interface_checks.h"
#include "trainer.h"
#include "trial.h"
#include "vector.h"

struct TreadleTrainer {
    std::unique_ptr<treadle::Trainer> trainer;
};

namespace {

using treadle::check_ranges;
using treadle::fail;
using treadle::guarded;
using treadle::Range;

int32_t check(const TreadleShape* shape, const TreadlePlan* plan) {
    if (int32_t code = treadle::check_shape(shape, 32768)) return code;
    if (!plan) return fail(TREADLE_INVALID, "a plan must be given");
    const Range ranges[] = {
        {"precision", plan->precision, TREADLE_BFLOAT16, TREADLE_FLOAT32},
        {"threads", plan->threads, 1, 1024},
        {"gradient_shards", plan->gradient_shards, 1, 64},
        {"pass_tokens", plan->pass_tokens, 1, 1 << 20},
    };
    if (int32_t code = check_ranges(ranges)) return code;
    if (!(shape->dropout >= 0.0f && shape->dropout < 1.0f)) return fail(TREADLE_INVALID, "dropout must be in [0, 1)");
    return TREADLE_OK;
}

int32_t check(const TreadleTrainer* trainer, const TreadleBatch* batch) {
    if (!trainer || !batch || !batch->inputs || !batch->targets) {
        return fail(TREADLE_INVALID, "trainer, inputs and targets must be given");
    }
    const treadle::Shape& shape = trainer->trainer->shape();
    const Range ranges[] = {{"sequences", batch->sequences, 1, 1 << 24}, {"time", batch->time, 1, shape.context}};
    if (int32_t code = check_ranges(ranges)) return code;
    const int64_t tokens = static_cast<int64_t>(batch->sequences) * batch->time;
    for (int64_t i = 0; i < tokens; i++) {
        const Range ids[] = {{"an input token", batch->inputs[i], 0, shape.vocabulary - 1},
                             {"a target", batch->targets[i], -1, shape.vocabulary - 1}};
        if (int32_t code = check_ranges(ids)) return code;
    }
    return TREADLE_OK;
}

// The parameter, after checking what is to be copied; null after a failure.
const treadle::Parameter* find(const TreadleTrainer* trainer, int32_t index, int32_t what, const float* values,
                               int64_t count) {
    if (!trainer || !values) {
        fail(TREADLE_INVALID, "trainer and values must be given");
        return nullptr;
    }
    const auto& list = trainer->trainer->parameters().list();
    const Range ranges[] = {{"parameter index", index, 0, static_cast<int64_t>(list.size()) - 1},
                            {"kind of array", what, TREADLE_WEIGHT, TREADLE_GRADIENT}};
    if (check_ranges(ranges)) return nullptr;
    const treadle::Parameter& parameter = list[static_cast<size_t>(index)];
    return treadle::check_count(parameter, count) ? nullptr : &parameter;
}

}  // namespace

int32_t treadle_interface_version(void) { return TREADLE_INTERFACE_VERSION; }
const char* treadle_instruction_set(void) { return treadle::kInstructionSet; }

int32_t treadle_precision_trial(int32_t precision, int32_t rows, int32_t columns, int32_t inner, double* seconds) {
    return guarded([&]() -> int32_t {
        const Range ranges[] = {{"precision", precision, TREADLE_BFLOAT16, TREADLE_FLOAT32},
                                {"rows", rows, 64, 4096},
                                {"columns", columns, 64, 4096},
                                {"inner", inner, 64, 4096},
                                {"what is left of columns in 64", columns % 64, 0, 0},
                                {"what is left of inner in 64", inner % 64, 0, 0},
                                {"what is left of rows in 64", rows % 64, 0, 0}};
        if (int32_t code = check_ranges(ranges)) return code;
        if (!seconds) return fail(TREADLE_INVALID, "seconds must be given");
        const treadle::Extents extents{rows, columns, inner};
        *seconds = precision == TREADLE_BFLOAT16 ? treadle::trial_seconds<treadle::Bfloat16>(extents)
                                                 : treadle::trial_seconds<treadle::Float32>(extents);
        return *seconds < 0 ? fail(TREADLE_OUT_OF_MEMORY, "the system refused the memory for a trial") : TREADLE_OK;
    });
}

int32_t treadle_memory_required(const TreadleShape* shape, const TreadlePlan* plan, TreadleMemory* result) {
    return guarded([&]() -> int32_t {
        if (int32_t code = check(shape, plan)) return code;
        *result = treadle::Trainer::memory_required(*shape, *plan);
        return TREADLE_OK;
    });
}

int32_t treadle_trainer_create(const TreadleShape* shape, const TreadlePlan* plan, TreadleTrainer** result) {
    return guarded([&]() -> int32_t {
        if (int32_t code = check(shape, plan)) return code;
        std::unique_ptr<treadle::Trainer> trainer = treadle::Trainer::create(*shape, *plan);
        if (!trainer) return fail(TREADLE_OUT_OF_MEMORY, "the system refused the memory for weights and activations");
        *result = new TreadleTrainer{std::move(trainer)};
        return TREADLE_OK;
    });
}

void treadle_trainer_destroy(TreadleTrainer* trainer) { delete trainer; }

int32_t treadle_trainer_parameter_count(const TreadleTrainer* trainer) {
    return trainer ? static_cast<int32_t>(trainer->trainer->parameters().list().size()) : 0;
}

int32_t treadle_trainer_parameter(const TreadleTrainer* trainer, int32_t index, TreadleParameter* result) {
    return guarded([&]() -> int32_t {
        const Range range = {"parameter index", index, 0, treadle_trainer_parameter_count(trainer) - 1};
        if (int32_t code = treadle::check_range(range)) return code;
        treadle::describe(trainer->trainer->parameters().list()[static_cast<size_t>(index)], result);
        return TREADLE_OK;
    });
}

int32_t treadle_trainer_read(const TreadleTrainer* trainer, int32_t index, int32_t what, float* values,
                             int64_t count) {
    return guarded([&]() -> int32_t {
        const treadle::Parameter* parameter = find(trainer, index, what, values, count);
        if (!parameter) return TREADLE_INVALID;
        trainer->trainer->parameters().read(*parameter, trainer->trainer->array(what), values);
        return TREADLE_OK;
    });
}

int32_t treadle_trainer_write(TreadleTrainer* trainer, int32_t index, int32_t what, const float* values,
                              int64_t count) {
    return guarded([&]() -> int32_t {
        const treadle::Parameter* parameter = find(trainer, index, what, values, count);
        if (!parameter) return TREADLE_INVALID;
        trainer->trainer->parameters().write(*parameter, values, trainer->trainer->array(what));
        return TREADLE_OK;
    });
}

int32_t treadle_trainer_repack(TreadleTrainer* trainer) {
    return guarded([&]() -> int32_t {
        if (!trainer) return fail(TREADLE_INVALID, "a trainer must be given");
        trainer->trainer->repack();
        return TREADLE_OK;
    });
}

int32_t treadle_trainer_backward(TreadleTrainer* trainer, const TreadleBatch* batch, const TreadleBackward* settings,
                                 double* loss) {
    return guarded([&]() -> int32_t {
        if (int32_t code = check(trainer, batch)) return code;
        if (!settings || !loss) return fail(TREADLE_INVALID, "settings and loss must be given");
        *loss = trainer->trainer->backward(*batch, *settings);
        return TREADLE_OK;
    });
}

int32_t treadle_trainer_gradient_norm(TreadleTrainer* trainer, double* norm) {
    return guarded([&]() -> int32_t {
        if (!trainer || !norm) return fail(TREADLE_INVALID, "trainer and norm must be given");
        *norm = trainer->trainer->gradient_norm();
        return TREADLE_OK;
    });
}

int32_t treadle_trainer_update(TreadleTrainer* trainer, const TreadleUpdate* update, const TreadleRule* rules,
                               int32_t rule_count) {
    return guarded([&]() -> int32_t {
        if (!trainer || !update || !rules) return fail(TREADLE_INVALID, "trainer, update and rules must be given");
        if (rule_count != treadle_trainer_parameter_count(trainer)) {
            return fail(TREADLE_INVALID, "there must be one rule for each parameter");
        }
        const auto& list = trainer->trainer->parameters().list();
        for (int32_t index = 0; index < rule_count; index++) {
            const treadle::Parameter& parameter = list[static_cast<size_t>(index)];
            const bool block_matrix = parameter.columns > 0 && parameter.name.compare(0, 7, "layers.") == 0;
            if (rules[index].algorithm == TREADLE_MUON && !block_matrix) {
                return fail(TREADLE_INVALID, "muon moves matrices of the blocks only, not " + parameter.name);
            }
        }
        trainer->trainer->update(*update, rules);
        return TREADLE_OK;
    });
}

int32_t treadle_trainer_evaluate(TreadleTrainer* trainer, const TreadleBatch* batch, double* loss) {
    return guarded([&]() -> int32_t {
        if (int32_t code = check(trainer, batch)) return code;
        if (!loss) return fail(TREADLE_INVALID, "loss must be given");
        *loss = trainer->trainer->evaluate(*batch);
        return TREADLE_OK;
    });
}
