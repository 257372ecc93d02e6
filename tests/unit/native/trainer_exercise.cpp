// Drives the C interface through every option, for builds under sanitizers: exit code 0 and finite losses are the test.
#include "exercise.h"

namespace {

void fill_weights(TreadleTrainer* trainer) {
    for (int32_t index = 0; index < treadle_trainer_parameter_count(trainer); index++) {
        TreadleParameter parameter;
        require(treadle_trainer_parameter(trainer, index, &parameter));
        std::vector<float> values = random_weight(parameter, 8000.0f);
        const int64_t count = static_cast<int64_t>(values.size());
        require(treadle_trainer_write(trainer, index, TREADLE_WEIGHT, values.data(), count));
        require(treadle_trainer_read(trainer, index, TREADLE_WEIGHT, values.data(), count));
    }
    require(treadle_trainer_repack(trainer));
}

void train(TreadleTrainer* trainer, const TreadleShape& shape, int32_t time, int32_t algorithm) {
    for (int32_t step = 1; step <= 3; step++) {
        const int32_t sequences = 4 - step;  // Fewer than the shards, too.
        std::vector<int32_t> inputs(static_cast<size_t>(sequences * time));
        std::vector<int32_t> targets(inputs.size());
        for (size_t i = 0; i < inputs.size(); i++) {
            inputs[i] = static_cast<int32_t>(next_random() % static_cast<uint32_t>(shape.vocabulary));
            targets[i] = i % 5 ? inputs[i] : -1;
        }
        const TreadleBatch batch = {inputs.data(), targets.data(), sequences, time};
        const TreadleBackward settings = {0.01f, step != 2, 0, static_cast<uint64_t>(step)};
        double loss = 0.0;
        double norm = 0.0;
        require(treadle_trainer_backward(trainer, &batch, &settings, &loss));
        require(treadle_trainer_gradient_norm(trainer, &norm));
        std::vector<TreadleRule> rules;
        for (int32_t index = 0; index < treadle_trainer_parameter_count(trainer); index++) {
            TreadleParameter parameter;
            require(treadle_trainer_parameter(trainer, index, &parameter));
            const bool block_matrix = parameter.columns > 0 && parameter.name[0] == 'l';
            rules.push_back({block_matrix ? algorithm : TREADLE_ADAMW, 1e-2f, 0.1f});
        }
        const TreadleUpdate update = {step, 1.0f, 0.9f, 0.95f, 1e-8f, 0.9f};
        require(treadle_trainer_update(trainer, &update, rules.data(), static_cast<int32_t>(rules.size())));
        require(treadle_trainer_evaluate(trainer, &batch, &loss));
        if (!std::isfinite(loss) || !std::isfinite(norm)) std::exit(3);
    }
}

void exercise(const TreadleShape& shape, int32_t precision, int32_t algorithm) {
    const TreadlePlan plan = {precision, 3, 4, 64};
    TreadleTrainer* trainer = nullptr;
    require(treadle_trainer_create(&shape, &plan, &trainer));
    fill_weights(trainer);
    train(trainer, shape, shape.context, algorithm);
    train(trainer, shape, 5, algorithm);
    treadle_trainer_destroy(trainer);
}

}  // namespace

int main() {
    // layers, width, heads, kv_heads, head_width, feed_forward, vocabulary, context, norm, norm_gain, positions, qk_norm,
    // activation, bias, tied_embeddings, embedding_norm, norm_epsilon, rope_base, logit_soft_cap, dropout
    const TreadleShape shapes[] = {
        {2, 64, 2, 2, 32, 192, 65, 64, 0, 1, 0, 1, 0, 0, 0, 0, 1e-6f, 1e4f, 0.0f, 0.0f},
        {1, 40, 6, 2, 10, 100, 33, 45, 1, 1, 1, 1, 1, 1, 1, 1, 1e-5f, 1e4f, 5.0f, 0.2f},
        {1, 72, 3, 1, 22, 70, 200, 300, 1, 0, 0, 0, 2, 1, 0, 1, 1e-5f, 1e3f, 0.0f, 0.1f},
    };
    if (!treadle_machine_runs_this()) return 4;
    for (const TreadleShape& shape : shapes) {
        exercise(shape, TREADLE_BFLOAT16, TREADLE_MUON);
        exercise(shape, TREADLE_FLOAT32, TREADLE_ADAMW);
    }
    return 0;
}
