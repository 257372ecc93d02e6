// Texts being written: the loop from logits to tokens and back, without anybody above.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "engine.h"
#include "engine_drafter.h"
#include "engine_sampler.h"

namespace treadle {

enum class Ending : int32_t { kNone = 0, kLength = 1, kBoundary = 2, kNotANumber = 3 };

// One text in one slot.
struct Text {
    std::vector<int32_t> ids;  // Prompt, then what was written.
    int64_t most;              // Length at which it ends.
    int64_t window = 0;        // Index of the first token of the window that the model reads.
    int64_t fed = 0;           // Tokens that the slot holds, counted from the text's beginning.
    Sampler sampler;
    Ending ending = Ending::kNone;
    bool begun = false;          // Whether its first token is there: somebody waits for that one.
    std::vector<int32_t> fresh;  // Written in this burst.
    bool with_logs = false;
    int alternatives = 0;        // Likeliest tokens to tell beside each written one.
    std::vector<double> logs;    // Log-probabilities of `fresh`, if they are wanted.
    std::vector<Likely> likely;  // Alternatives of `fresh`, so many for each.
};

// Writes all its texts together, one token of each at a time.
class Writer {
  public:
    explicit Writer(Engine& engine)
        : engine_(engine), texts_(static_cast<size_t>(engine.plan().slots)),
          held_(static_cast<size_t>(engine.plan().slots)) {}

    // Feeds rows directly; the slots must have no text.
    void step(const StepRows& rows);
    // Tokens that a slot holds.
    int64_t held(int slot) const { return static_cast<int64_t>(held_[static_cast<size_t>(slot)].size()); }

    // What the slot already holds of the text's beginning is not fed again.
    void begin(int slot, Text text);
    // A small model guesses ahead from now on; see `Drafter`.
    void use_draft(Engine& draft, int fixed) { drafter_.emplace(draft, fixed); }
    const std::optional<Drafter>& drafter() const { return drafter_; }
    void forget(int slot) { texts_[static_cast<size_t>(slot)].reset(); }

    // Writes until a text ends, one gets its first token, one has got `most` tokens, or `seconds` have passed, but at least one step. A step writes
    // one token of each text whose prompt is read, and more where guesses were right; it reads on in other prompts.
    void write(double seconds, int64_t most);

    // The text of a slot, or null.
    const Text* text(int slot) const {
        const std::optional<Text>& one = texts_[static_cast<size_t>(slot)];
        return one ? &*one : nullptr;
    }

  private:
    void share_rows();
    void gather(int slot, Text& text, int64_t rows);
    void enter_window(int slot, Text& text);
    void guess(int64_t room);
    void gather_guess(const Guess& one);
    bool advance(int64_t room);
    int take(Text& text, const float* logits);
    struct Taken { int tokens = 0; bool going = true; };
    Taken take_all();

    Engine& engine_;
    std::vector<std::optional<Text>> texts_;
    std::vector<std::vector<int32_t>> held_;  // Tokens in each slot's cache, by position.
    std::vector<std::pair<int64_t, int>> unread_;  // Of each text that goes on: rows until its next token, and its slot.
    std::optional<Drafter> drafter_;
    std::vector<Guess> guesses_;  // Of the step, in the order of `unread_`; none in a step that reads prompts.
    std::vector<int32_t> tokens_, slots_, positions_, wanted_;
    std::vector<float> logits_;
};

}  // namespace treadle
