// How many threads a step is worth. A core that somebody else uses makes all threads wait for the one that lost it: then
// one thread alone is faster, often many times. Only time depends on this, never a result. Finding out costs time itself:
// trials are as short as the steps allow, and so rare that they take a twentieth of all.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>

namespace treadle {

inline double seconds_now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Measures steps as they are taken, those of few rows apart from those of many, with one thread and with all.
class Pace {
  public:
    explicit Pace(int most) : most_(most) {}

    // Threads for the next step of so many rows.
    int threads(int rows) const {
        if (most_ == 1) return 1;
        const Load& load = loads_[kind(rows)];
        return (load.trying ? load.tried : load.all) ? most_ : 1;
    }

    // The step took so long and ended at `now`, both in seconds.
    void took(int rows, double seconds, double now) {
        if (most_ == 1) return;
        Load& load = loads_[kind(rows)];
        const double cost = kind(rows) < kKinds - 1 ? seconds : seconds / rows;  // Prompts come in parts of many sizes.
        if (load.trying) try_out(load, cost, seconds, now);
        else watch(load, cost, seconds, now);
    }

  private:
    static constexpr int kTrial = 5;            // Most steps of a trial, of which the median counts.
    static constexpr double kEnough = 0.01;     // Seconds after which a trial ends: long steps scatter little.
    static constexpr double kPeace = 19.0;      // Times what a trial took that no other begins.
    static constexpr double kWindow = 0.01;     // Seconds of steps whose mean counts: stalls last milliseconds.
    static constexpr double kShortest = 0.005;  // Seconds between trials, doubled each time that nothing changes.
    static constexpr double kLongest = 2.0;
    static constexpr double kWorth = 0.95;      // All threads must take at most this share of one thread's time.
    static constexpr double kHopeless = 3.0;    // A step of a trial that takes so many times as long ends the trial.

    static constexpr size_t kKinds = 4;

    struct Load {
        bool all = true;      // Whether all threads are used outside trials.
        bool tried = true;    // The same in the running trial: the first one is of all threads, the second of one.
        bool first = true;
        bool trying = true;
        int taken = 0;        // Steps of the trial, what each cost, and the seconds of all.
        std::array<double, kTrial> costs{};
        double spent = 0;
        double alone = 0;     // What a step costs with one thread and with all, as last measured.
        double together = 0;
        double sum = 0;       // Of the running window: costs, steps, seconds.
        int steps = 0;
        double seconds = 0;
        double next = 0;
        double pause = kShortest;
    };

    static size_t kind(int rows) { return rows <= 1 ? 0 : rows <= 4 ? 1 : rows <= 16 ? 2 : 3; }

    void try_out(Load& load, double cost, double seconds, double now) {
        load.costs[static_cast<size_t>(load.taken++)] = cost;
        load.spent += seconds;
        const bool woken = load.taken > 1;  // The first step waits for threads that sleep, and for memory.
        if (load.tried && !load.first && woken && cost > kHopeless * load.alone) return settle(load, false, now);
        if (load.taken < kTrial && (load.spent < kEnough || (load.tried && !woken))) return;
        std::sort(load.costs.begin(), load.costs.begin() + load.taken);
        (load.tried ? load.together : load.alone) = load.costs[static_cast<size_t>(load.taken - 1) / 2];
        if (load.first && load.tried) return begin_trial(load, false);
        load.first = false;
        settle(load, load.together < kWorth * load.alone, now);
    }

    void watch(Load& load, double cost, double seconds, double now) {
        load.sum += cost;
        load.steps++;
        load.seconds += seconds;
        if (load.seconds > kWindow && load.steps > 1) {
            (load.all ? load.together : load.alone) = load.sum / load.steps;
            end_window(load);
            if (load.all && load.together > kWorth * load.alone) return settle(load, false, now);
        }
        if (now >= load.next) begin_trial(load, !load.all);
    }

    void settle(Load& load, bool all, double now) {
        load.pause = all == load.all ? std::min(2 * load.pause, kLongest) : kShortest;  // A stall may have misled it.
        load.all = all;
        load.next = now + std::max(load.pause, kPeace * load.spent);
        load.spent = 0;
        load.trying = false;
        end_window(load);
    }

    static void end_window(Load& load) { load.sum = load.seconds = load.steps = 0; }

    void begin_trial(Load& load, bool all) {
        load.tried = all;
        load.trying = true;
        load.taken = 0;
        load.spent = 0;
    }

    int most_;
    std::array<Load, kKinds> loads_;
};

}  // namespace treadle
