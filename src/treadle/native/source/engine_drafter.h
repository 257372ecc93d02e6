// A small model that guesses what a large one is about to write, so that one step of the large one checks several tokens.
// A guess is taken only where it is the token that the text gets anyway: texts never depend on guesses.
#pragma once

#include <algorithm>
#include <vector>

#include "engine.h"
#include "engine_ahead.h"
#include "engine_sampler.h"

namespace treadle {

// What is guessed of one text.
struct Guess {
    int slot;
    const int32_t* window;         // Tokens that the model reads, and how many.
    int64_t length;
    Sampler* sampler;
    int most;
    std::vector<int32_t> tokens{};  // At most so many, fewer where the document may end.
};

class Drafter {
  public:
    // `engine` has the vocabulary, at least the context, and the slots of the large one, and outlives this. `fixed`
    // guesses each time, or as many as prove worth it where that is negative.
    Drafter(Engine& engine, int fixed) : engine_(engine), fixed_(fixed), held_(static_cast<size_t>(engine.plan().slots)) {}

    // Guesses for each of so many texts that write; none with the rows of longer steps.
    int ahead(int texts) const { return fixed_ >= 0 ? fixed_ : ahead_.count(texts); }

    // Fills `tokens` of all guesses, all texts one token at a time.
    void guess(std::vector<Guess>& guesses);

    // A step of so many texts, its guesses included, wrote so many tokens.
    void took(int texts, int tokens, double seconds, double now) { ahead_.took(texts, tokens, seconds, now); }

    // `right` of `all` guesses of a step were taken.
    void count(int64_t all, int64_t right) {
        guessed_ += all;
        right_ += right;
    }

    int64_t guessed() const { return guessed_; }
    int64_t right() const { return right_; }

  private:
    void gather(const Guess& one);

    Engine& engine_;
    int fixed_;
    Ahead ahead_;
    std::vector<std::vector<int32_t>> held_;  // Tokens in each slot's cache, by position.
    std::vector<Guess*> going_;
    std::vector<int32_t> tokens_, slots_, positions_, wanted_;
    std::vector<float> logits_;
    int64_t guessed_ = 0, right_ = 0;
};

// Rows that bring the slot up to the last token known, which are one but after guesses that were wrong or a pause.
inline void Drafter::gather(const Guess& one) {
    std::vector<int32_t>& held = held_[static_cast<size_t>(one.slot)];
    const int64_t length = one.length + static_cast<int64_t>(one.tokens.size());
    auto token = [&](int64_t place) {
        return place < one.length ? one.window[place] : one.tokens[static_cast<size_t>(place - one.length)];
    };
    int64_t common = 0;
    const int64_t most = std::min(static_cast<int64_t>(held.size()), length - 1);  // The last one's logits are wanted.
    while (common < most && held[static_cast<size_t>(common)] == token(common)) common++;
    held.resize(static_cast<size_t>(common));
    for (; common < length; common++) {
        tokens_.push_back(token(common));
        slots_.push_back(one.slot);
        positions_.push_back(static_cast<int32_t>(common));
        held.push_back(token(common));
    }
    wanted_.push_back(static_cast<int32_t>(tokens_.size()) - 1);
}

inline void Drafter::guess(std::vector<Guess>& guesses) {
    const auto vocabulary = static_cast<size_t>(engine_.shape().vocabulary);
    for (int round = 0;; round++) {
        tokens_.clear();
        slots_.clear();
        positions_.clear();
        wanted_.clear();
        going_.clear();
        for (Guess& one : guesses) {
            if (static_cast<int>(one.tokens.size()) != round || round == one.most) continue;
            going_.push_back(&one);
            gather(one);
        }
        if (going_.empty()) return;
        logits_.resize(going_.size() * vocabulary);
        engine_.step({tokens_.data(), slots_.data(), positions_.data(), static_cast<int>(tokens_.size()),
                      wanted_.data(), static_cast<int>(wanted_.size()), logits_.data()});
        for (size_t i = 0; i < going_.size(); i++) {
            Guess& one = *going_[i];
            const int32_t last = one.tokens.empty() ? one.window[one.length - 1] : one.tokens.back();
            const int token = one.sampler->guess(logits_.data() + i * vocabulary, last, round);
            if (token != Sampler::kNotANumber && token != one.sampler->boundary()) one.tokens.push_back(token);
        }
    }
}

}  // namespace treadle
