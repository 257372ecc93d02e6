// How many tokens are worth guessing ahead: measured while texts are written, as tokens of all texts per second. Only
// time depends on this, never a text. Where no guess pays, the draft model rests, but for trials that become rare.
#pragma once

#include <algorithm>
#include <array>

namespace treadle {

// Measures steps as they are taken, those of few texts apart from those of many.
class Ahead {
  public:
    // Guesses for each of `texts` in the next step. With its last token these are rows of 1, 2, 4 or 8.
    int count(int texts) const { return kCounts[used(loads_[kind(texts)])]; }

    // A step with so many guesses for each wrote so many tokens in so many seconds, and ended at `now`.
    void took(int texts, int tokens, double seconds, double now) {
        Load& load = loads_[kind(texts)];
        Rate& rate = load.rates[used(load)];
        const double mean = rate.steps > 0 ? rate.seconds / rate.steps : seconds;
        rate.steps = kMemory * rate.steps + 1;
        rate.tokens = kMemory * rate.tokens + tokens;
        rate.seconds = kMemory * rate.seconds + std::min(seconds, kStall * mean);
        if (load.trial == kRest) {
            if (now >= load.next) begin_trial(load);
            return;
        }
        load.spent += seconds;
        if (++load.taken >= kTrial) settle(load, now);
    }

  private:
    static constexpr std::array<int, 4> kCounts = {3, 0, 7, 1};  // In the order in which they are tried first.
    static constexpr size_t kSome = 0, kNone = 1, kMost = 2;  // Where a few do not pay, many are not tried.
    static constexpr size_t kRest = kCounts.size();           // No trial runs.
    static constexpr size_t kKinds = 5;
    static constexpr int kTrial = 10;         // Steps of a trial.
    static constexpr double kMemory = 0.96;   // Weight of a step against the next one.
    static constexpr double kStall = 3.0;     // A step that took more than so many usual ones counts as so many.
    static constexpr double kPeace = 19.0;    // Times what a trial took that no other begins,
    static constexpr double kHopeless = 0.8;  // and four times as long when none came near the best.
    static constexpr double kLongest = 8.0;   // Seconds between trials at most: texts change.

    struct Rate {
        double steps = 0, tokens = 0, seconds = 0;
        double value() const { return seconds > 0 ? tokens / seconds : 0; }
    };

    struct Load {
        std::array<Rate, kCounts.size()> rates{};
        size_t best = 0;
        size_t trial = 0;  // The running one, or none.
        size_t last = 0;   // The newest one.
        int taken = 0;
        double spent = 0;  // Seconds of the running trial.
        double next = 0;
    };

    static size_t kind(int texts) {
        size_t found = 0;
        for (; texts > 1 && found + 1 < kKinds; texts /= 2) found++;
        return found;
    }

    static size_t used(const Load& load) { return load.trial == kRest ? load.best : load.trial; }

    static void begin_trial(Load& load) {
        do {
            load.last = (load.last + 1) % kCounts.size();
        } while (load.last == load.best || (load.last == kMost && load.rates[kSome].value() < load.rates[kNone].value()));
        load.trial = load.last;
        load.rates[load.trial] = {};
        load.taken = 0;
        load.spent = 0;
    }

    static void settle(Load& load, double now) {
        bool near = false;
        for (size_t i = 0; i < kCounts.size(); i++) {
            if (load.rates[i].value() > load.rates[load.best].value()) load.best = i;
        }
        for (size_t i = 0; i < kCounts.size(); i++) {
            near = near || (i != load.best && load.rates[i].value() > kHopeless * load.rates[load.best].value());
        }
        const bool early = load.rates.back().steps == 0;  // The last to be tried at all.
        load.trial = kRest;
        load.next = now + (early ? 0 : std::min(kLongest, (near ? 1 : 4) * kPeace * load.spent));
    }

    std::array<Load, kKinds> loads_;
};

}  // namespace treadle
