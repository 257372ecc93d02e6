// How many threads a step is worth. A core that somebody else uses makes all threads wait for the one that lost it: then
// one thread alone is faster, often many times. Only time depends on this, never a result.
#pragma once

#include <algorithm>
#include <array>

namespace treadle {

// Measures steps as they are taken, those of few rows apart from those of many, with one thread and with all.
class Pace {
  public:
    explicit Pace(int most) : most_(most) {}

    // Threads for the next step of so many rows.
    int threads(int rows) const {
        if (most_ == 1) return 1;
        const Load& load = loads_[kind(rows)];
        return (load.trial > 0 ? load.tried : load.all) ? most_ : 1;
    }

    // The step took so long and ended at `now`, both in seconds.
    void took(int rows, double seconds, double now) {
        if (most_ == 1) return;
        Load& load = loads_[kind(rows)];
        if (load.trial > 0) try_out(load, seconds, now);
        else watch(load, seconds, now);
    }

  private:
    static constexpr int kTrial = 5;            // Steps of a trial, of which the median counts.
    static constexpr double kWindow = 0.01;     // Seconds of steps whose mean counts: stalls last milliseconds.
    static constexpr double kShortest = 0.005;  // Seconds between trials, doubled each time that nothing changes.
    static constexpr double kLongest = 2.0;
    static constexpr double kWorth = 0.95;      // All threads must take at most this share of one thread's time.
    static constexpr double kHopeless = 3.0;    // A step of a trial that takes so many times as long ends the trial.

    struct Load {
        bool all = true;      // Whether all threads are used outside trials.
        bool tried = true;    // The same in the running trial: the first one is of all threads, the second of one.
        bool first = true;
        int trial = kTrial;   // Steps left in the running trial.
        std::array<double, kTrial> times{};
        double alone = 0;     // Seconds of a step with one thread and with all, as last measured.
        double together = 0;
        double sum = 0;       // Of the running window.
        int steps = 0;
        double next = 0;
        double pause = kShortest;
    };

    static size_t kind(int rows) { return rows <= 1 ? 0 : rows <= 4 ? 1 : rows <= 16 ? 2 : 3; }

    void try_out(Load& load, double seconds, double now) {
        load.times[static_cast<size_t>(--load.trial)] = seconds;
        const bool woken = load.trial < kTrial - 1;  // The first step waits for threads that sleep.
        if (load.tried && !load.first && woken && seconds > kHopeless * load.alone) {
            load.trial = 0;
            return settle(load, false, now);
        }
        if (load.trial > 0) return;
        std::sort(load.times.begin(), load.times.end());
        (load.tried ? load.together : load.alone) = load.times[kTrial / 2];
        if (load.first && load.tried) return begin_trial(load, false);
        load.first = false;
        settle(load, load.together < kWorth * load.alone, now);
    }

    void watch(Load& load, double seconds, double now) {
        load.sum += seconds;
        load.steps++;
        if (load.sum > kWindow && load.steps > 1) {
            (load.all ? load.together : load.alone) = load.sum / load.steps;
            load.sum = 0;
            load.steps = 0;
            if (load.all && load.together > kWorth * load.alone) return settle(load, false, now);
        }
        if (now >= load.next) begin_trial(load, !load.all);
    }

    void settle(Load& load, bool all, double now) {
        load.pause = all == load.all || !all ? std::min(2 * load.pause, kLongest) : kShortest;
        load.all = all;
        load.next = now + load.pause;
        load.sum = 0;
        load.steps = 0;
    }

    void begin_trial(Load& load, bool all) {
        load.tried = all;
        load.trial = kTrial;
    }

    int most_;
    std::array<Load, 4> loads_;
};

}  // namespace treadle
