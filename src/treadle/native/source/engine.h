// A model ready to be asked: rows of (token, slot, position) in, logits out.
#pragma once

#include <memory>

#include "engine_crew.h"
#include "engine_pace.h"
#include "engine_weights.h"

namespace treadle {

// Rows that go through the network together; longer steps are cut.
constexpr int kStepRows = 64;

// Rows of one text that attend to it together.
constexpr int kTogether = 4;

struct EnginePlan {
    Format format;
    int threads;
    int slots;
};

// Some rows of one step, and where the logits of the wanted ones go.
struct StepRows {
    const int32_t *tokens, *slots, *positions;
    int count;
    const int32_t* wanted;  // Indexes of rows, rising.
    int wanted_count;
    float* logits;          // [wanted][vocabulary]
    float* states = nullptr;  // [wanted][width]: if given, what the last norm makes of the wanted rows, and no logits.
};

// The buffers of one thread.
struct EngineScratch {
    void place(const Shape& shape, Format format, const HeadUnits& units, Arena& arena);

    float* normed;   // [rows][padded width]
    Operand input;   // The same, to be multiplied.
    float* heads;    // [rows][panels of a unit x 64]
    float* query;    // One rotated query head.
    float* attended; // [rows taken together][query heads of a unit]
    float* scores;   // [rows taken together][padded context]
    float* tile;     // [rows][64]
    float* gate;     // [rows][64]
};

class Engine {
  public:
    // `block` holds packed weights of this shape and format, and outlives the engine. Null if the system refuses memory.
    static std::unique_ptr<Engine> create(const TreadleShape& shape, const EnginePlan& plan, const std::byte* block);
    // Bytes taken beside the weights.
    static int64_t memory_required(const TreadleShape& shape, const EnginePlan& plan);
    static int64_t weights_required(const TreadleShape& shape, Format format);

    // Rows were checked: they exist, and each slot's positions follow what it holds.
    void step(const StepRows& rows);

    // Lets slot `to` hold what `from` holds of its first `count` positions: the same bits as computing them anew.
    void copy_prefix(int from, int to, int count);

    const Shape& shape() const { return shape_; }
    const EnginePlan& plan() const { return plan_; }
    // Takes so many threads from now on; 0 leaves it to measurement.
    void use_threads(int threads) { fixed_ = threads; }

  private:
    Engine(const TreadleShape& shape, const EnginePlan& plan, std::byte* block);

    void place(Arena& arena);
    void forward(const StepRows& rows, int member);
    void embed(const StepRows& rows, int member);
    void attention(const StepRows& rows, int index, int member);
    void add_product(const Matrix& matrix, const float* bias, const Operand& operand, int rows, int member);
    void feed_forward(const StepRows& rows, const EngineLayer& layer, int member);
    void score(const StepRows& rows, int member);
    void normed(const float* x, int rows, const float* gain, const float* bias, const EngineScratch& scratch) const;
    template <class Cache>
    void attend(const StepRows& rows, int index, int unit, const EngineScratch& scratch);

    // Heads (engine_attention.cpp).
    void turn_head(float* head, int position, const float* gain) const;
    template <class Cache>
    Cache* keys(int layer, int slot, int head) const;

    // What member `member` takes of `count` parts, as [first, last).
    struct Range { int first, last; };
    Range share(int count, int member) const {
        return {static_cast<int>(static_cast<int64_t>(count) * member / active_),
                static_cast<int>(static_cast<int64_t>(count) * (member + 1) / active_)};
    }

    Shape shape_;
    EnginePlan plan_;
    HeadUnits units_;
    EngineWeights weights_;
    Arena arena_;
    Crew crew_;
    Pace pace_;
    int fixed_ = 0;
    int active_ = 1;          // Members of the running step.
    int cached_context_;      // Positions of a slot, in whole blocks of 16.
    std::byte* cache_ = nullptr;
    float* x_ = nullptr;      // Residual stream, [rows][padded width].
    Operand attended_{};
    Operand activated_{};
    std::vector<EngineScratch> scratch_;
};

// Room for an operand.
Operand take_operand(Format format, int rows, int columns, Arena& arena);

}  // namespace treadle
