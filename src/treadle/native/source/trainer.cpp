#include "trainer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "network.h"
#include "optimizers.h"
#include "packing.h"
#include "kernels.h"
#include "thread_team.h"

namespace treadle {

namespace {

// What a single task of the element-wise phases takes: rows of one tensor, or a stretch of a vector.
struct Block {
    int parameter;
    int first_row;  // Of the tensor.
    int rows;
};

// Values that one block of a reduction covers at least; larger means fewer tasks.
constexpr int64_t kBlockValues = 1 << 15;

template <class E>
class TypedTrainer final : public Trainer {
  public:
    TypedTrainer(const TreadleShape& shape, const TreadlePlan& plan)
        : shape_(shape), plan_(plan), parameters_(shape_, E::kPerWord == 2) {}

    TreadleMemory place(Arena& arena);
    bool allocate();

    const Shape& shape() const override { return shape_; }
    const Parameters& parameters() const override { return parameters_; }
    float* array(int32_t what) override;
    void repack() override;
    double backward(const TreadleBatch& batch, const TreadleBackward& settings) override;
    double gradient_norm() override;
    void update(const TreadleUpdate& update, const TreadleRule* rules) override;
    double evaluate(const TreadleBatch& batch) override;

  private:
    int pass_sequences(int time) const { return std::max(1, plan_.pass_tokens / padded_time(time)); }
    double run_shard(const TreadleBatch& batch, const TreadleBackward& settings, int shard, Workspace<E>& work);
    double sum_shards(const Block& block);
    void pack(const Block& block, int thread);
    void list_blocks();
    Network<E> network() const { return Network<E>(shape_, parameters_, tables_, state_.weights); }

    Shape shape_;
    TreadlePlan plan_;
    Parameters parameters_;
    Arena arena_;
    Tables tables_;
    State state_;
    std::vector<float*> shards_;
    std::vector<char> shard_used_;
    std::vector<Workspace<E>> workspaces_;
    std::vector<MuonScratch<E>> muon_scratch_;
    std::vector<typename E::Value*> pack_scratch_;
    std::vector<Block> blocks_;
    std::unique_ptr<ThreadTeam> team_;
};

template <class E>
TreadleMemory TypedTrainer<E>::place(Arena& arena) {
    const int64_t size = parameters_.size();
    tables_.place(shape_, arena);
    state_.weights = arena.take<float>(size);
    state_.first = arena.take<float>(size);
    const size_t before = arena.used();
    state_.second = arena.take<float>(size);
    const size_t deferred = arena.used() - before;
    shards_.resize(static_cast<size_t>(plan_.gradient_shards));
    for (float*& shard : shards_) shard = arena.take<float>(size);
    state_.gradient = shards_[0];
    parameters_.place_packs(arena);

    int64_t largest = 0;
    int64_t smaller = 0;
    int64_t widest = 0;
    for (const Parameter& parameter : parameters_.list()) {
        widest = std::max<int64_t>(widest, parameter.tensor->columns);
        if (parameter.columns == 0 || parameter.name.compare(0, 7, "layers.") != 0) continue;
        largest = std::max(largest, parameter.size());
        smaller = std::max<int64_t>(smaller, std::min(parameter.padded_rows, parameter.tensor->columns));
    }
    const int rows = pass_sequences(shape_.context) * padded_time(shape_.context);
    const int most_rows = std::max(rows, (plan_.pass_tokens + 31) / 32 * 32);
    workspaces_.resize(static_cast<size_t>(plan_.threads));
    muon_scratch_.resize(workspaces_.size());
    pack_scratch_.resize(workspaces_.size());
    for (size_t thread = 0; thread < workspaces_.size(); thread++) {
        workspaces_[thread].place(shape_, most_rows, arena);
        muon_scratch_[thread].place(arena, largest, smaller, widest);
        pack_scratch_[thread] = arena.take<typename E::Value>(kPanel * widest);
    }
    return {static_cast<int64_t>(arena.used()), static_cast<int64_t>(deferred)};
}

template <class E>
bool TypedTrainer<E>::allocate() {
    Arena counting;
    if (!arena_.allocate(static_cast<size_t>(place(counting).arena))) return false;
    place(arena_);
    tables_.fill(shape_);
    shard_used_.assign(shards_.size(), 0);
    list_blocks();
    team_ = std::make_unique<ThreadTeam>(plan_.threads);
    return true;
}

template <class E>
void TypedTrainer<E>::list_blocks() {
    const std::vector<Parameter>& list = parameters_.list();
    for (size_t index = 0; index < list.size(); index++) {
        const Parameter& parameter = list[index];
        const int64_t rows = (kBlockValues / parameter.tensor->columns + kPanel - 1) / kPanel * kPanel;
        for (int64_t row = 0; row < parameter.padded_rows; row += rows) {
            const int64_t count = std::min(rows, parameter.padded_rows - row);
            const int first = parameter.first_row + static_cast<int>(row);
            blocks_.push_back({static_cast<int>(index), first, static_cast<int>(count)});
        }
    }
}

template <class E>
float* TypedTrainer<E>::array(int32_t what) {
    switch (what) {
        case TREADLE_WEIGHT: return state_.weights;
        case TREADLE_FIRST_MOMENT: return state_.first;
        case TREADLE_SECOND_MOMENT: return state_.second;
        default: return state_.gradient;
    }
}

template <class E>
void TypedTrainer<E>::pack(const Block& block, int thread) {
    const Tensor& tensor = *parameters_.list()[static_cast<size_t>(block.parameter)].tensor;
    if (!tensor.forward) return;
    for (int row = block.first_row; row < block.first_row + block.rows; row += kPanel) {
        pack_weight_rows<E>(state_.weights + tensor.offset, row, tensor.rows, tensor.columns, tensor.forward,
                            tensor.backward, pack_scratch_[static_cast<size_t>(thread)]);
    }
}

template <class E>
void TypedTrainer<E>::repack() {
    team_->for_each(static_cast<int>(blocks_.size()),
                    [&](int task, int thread) { pack(blocks_[static_cast<size_t>(task)], thread); });
}

// A shard is a fixed share of the batch's sequences with gradients of its own, whoever computes it.
template <class E>
double TypedTrainer<E>::run_shard(const TreadleBatch& batch, const TreadleBackward& settings, int shard,
                                  Workspace<E>& work) {
    const int64_t shards = static_cast<int64_t>(shards_.size());
    const int begin = static_cast<int>(batch.sequences * static_cast<int64_t>(shard) / shards);
    const int end = static_cast<int>(batch.sequences * static_cast<int64_t>(shard + 1) / shards);
    const size_t place = static_cast<size_t>(shard);
    if (settings.first) shard_used_[place] = 0;
    const int at_once = pass_sequences(batch.time);
    const Network<E> network = this->network();
    const Dropout dropout{shape_.dropout, settings.dropout_seed};
    double loss = 0.0;
    for (int sequence = begin; sequence < end; sequence += at_once) {
        const int64_t start = static_cast<int64_t>(sequence) * batch.time;
        const Sequences sequences{batch.inputs + start, batch.targets + start, std::min(at_once, end - sequence),
                                  batch.time, (settings.first_sequence + sequence) * batch.time};
        loss += network.train(sequences, dropout, settings.loss_scale, shards_[place], shard_used_[place] != 0, work);
        shard_used_[place] = 1;
    }
    return loss;
}

template <class E>
double TypedTrainer<E>::backward(const TreadleBatch& batch, const TreadleBackward& settings) {
    const int shards = static_cast<int>(shards_.size());
    std::vector<double> losses(shards_.size());
    // The last shard is the largest where sequences do not divide evenly: it starts first.
    team_->for_each(shards, [&](int task, int thread) {
        const int shard = shards - 1 - task;
        Workspace<E>& work = workspaces_[static_cast<size_t>(thread)];
        losses[static_cast<size_t>(shard)] = run_shard(batch, settings, shard, work);
    });
    double total = 0.0;
    for (double loss : losses) total += loss;
    return total;
}

// Sums the shards of one block in order, into the first; returns the sum of squares.
template <class E>
double TypedTrainer<E>::sum_shards(const Block& block) {
    const Tensor& tensor = *parameters_.list()[static_cast<size_t>(block.parameter)].tensor;
    const int64_t start = tensor.offset + static_cast<int64_t>(block.first_row) * tensor.columns;
    const int64_t count = static_cast<int64_t>(block.rows) * tensor.columns;
    const float* used[64];
    int shards = 0;
    for (size_t shard = 0; shard < shards_.size(); shard++) if (shard_used_[shard]) used[shards++] = shards_[shard];
    Vec squares = zero();
    for (int64_t i = start; i < start + count; i += kLanes) {
        Vec total = zero();
        for (int shard = 0; shard < shards; shard++) total = total + load(used[shard] + i);
        store(state_.gradient + i, total);
        squares = multiply_add(total, total, squares);
    }
    return static_cast<double>(sum(squares));
}

template <class E>
double TypedTrainer<E>::gradient_norm() {
    std::vector<double> squares(blocks_.size());
    team_->for_each(static_cast<int>(blocks_.size()), [&](int task, int) {
        squares[static_cast<size_t>(task)] = sum_shards(blocks_[static_cast<size_t>(task)]);
    });
    double total = 0.0;
    for (double square : squares) total += square;
    std::fill(shard_used_.begin(), shard_used_.end(), 0);
    shard_used_[0] = 1;
    return std::sqrt(total);
}

template <class E>
void TypedTrainer<E>::update(const TreadleUpdate& update, const TreadleRule* rules) {
    const std::vector<Parameter>& list = parameters_.list();
    // Whole matrices for Muon first, the largest first of all; then the blocks of AdamW fill the gaps.
    std::vector<Block> tasks;
    for (size_t index = 0; index < list.size(); index++) {
        if (rules[index].algorithm == TREADLE_MUON) {
            tasks.push_back({static_cast<int>(index), list[index].first_row, list[index].padded_rows});
        }
    }
    std::stable_sort(tasks.begin(), tasks.end(), [&](const Block& a, const Block& b) {
        return list[static_cast<size_t>(a.parameter)].size() > list[static_cast<size_t>(b.parameter)].size();
    });
    for (const Block& block : blocks_) {
        if (rules[block.parameter].algorithm == TREADLE_ADAMW) tasks.push_back(block);
    }
    team_->for_each(static_cast<int>(tasks.size()), [&](int task, int thread) {
        const Block& block = tasks[static_cast<size_t>(task)];
        const Parameter& parameter = list[static_cast<size_t>(block.parameter)];
        const TreadleRule& rule = rules[block.parameter];
        if (rule.algorithm == TREADLE_MUON) {
            muon<E>(parameter, state_, update, rule, muon_scratch_[static_cast<size_t>(thread)]);
        } else {
            const int64_t columns = parameter.tensor->columns;
            adamw(state_, update, rule, parameter.tensor->offset + block.first_row * columns, block.rows * columns);
        }
        pack(block, thread);
    });
}

template <class E>
double TypedTrainer<E>::evaluate(const TreadleBatch& batch) {
    // Smaller passes than training's, so that every thread gets some; their number does not depend on the threads.
    const int at_once = std::max(1, std::min(pass_sequences(batch.time), 256 / padded_time(batch.time)));
    const int passes = (batch.sequences + at_once - 1) / at_once;
    std::vector<double> losses(static_cast<size_t>(passes));
    team_->for_each(passes, [&](int pass, int thread) {
        const int sequence = pass * at_once;
        const int64_t start = static_cast<int64_t>(sequence) * batch.time;
        const Sequences sequences{batch.inputs + start, batch.targets + start,
                                  std::min(at_once, batch.sequences - sequence), batch.time, 0};
        losses[static_cast<size_t>(pass)] = network().evaluate(sequences, workspaces_[static_cast<size_t>(thread)]);
    });
    double total = 0.0;
    for (double loss : losses) total += loss;
    return total;
}

template <class E>
std::unique_ptr<Trainer> create_typed(const TreadleShape& shape, const TreadlePlan& plan) {
    auto trainer = std::make_unique<TypedTrainer<E>>(shape, plan);
    if (!trainer->allocate()) return nullptr;
    return trainer;
}

template <class E>
TreadleMemory measure(const TreadleShape& shape, const TreadlePlan& plan) {
    Arena counting;
    return TypedTrainer<E>(shape, plan).place(counting);
}

}  // namespace

std::unique_ptr<Trainer> Trainer::create(const TreadleShape& shape, const TreadlePlan& plan) {
    if (plan.precision == TREADLE_BFLOAT16) return create_typed<Bfloat16>(shape, plan);
    return create_typed<Float32>(shape, plan);
}

TreadleMemory Trainer::memory_required(const TreadleShape& shape, const TreadlePlan& plan) {
    return plan.precision == TREADLE_BFLOAT16 ? measure<Bfloat16>(shape, plan) : measure<Float32>(shape, plan);
}

}  // namespace treadle
