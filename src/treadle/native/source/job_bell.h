// How threads wait: they watch a while, let others run a while, then sleep.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace treadle {

// Phases of a step follow each other within microseconds, steps within milliseconds.
constexpr int kSpins = 3000;
constexpr int kYields = 100;

inline void pause_briefly(int spins) {
#if defined(__x86_64__) || defined(__i386__)
    if (spins < kSpins) return __builtin_ia32_pause();
#endif
    std::this_thread::yield();
}

// Returns when `done` is true; for what can only last a moment.
template <class Done>
void watch_until(Done done) {
    for (int spins = 0; !done(); spins++) pause_briefly(spins);
}

// Wakes workers for numbered jobs. What a job is lies with its owner, who touches it in `ring` and `next` only.
class JobBell {
  public:
    // Posts a job: `prepare` describes it while no worker looks.
    template <class Prepare>
    void ring(Prepare prepare) {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            prepare();
            job_.fetch_add(1, std::memory_order_release);
        }
        wake_.notify_all();
    }

    // Changes the description of the job while no worker looks.
    template <class Change>
    void change(Change change) {
        std::lock_guard<std::mutex> lock(mutex_);
        change();
    }

    // Waits for a job newer than `seen` and lets `look` read its description; false when no more will come.
    template <class Look>
    bool next(unsigned& seen, Look look) {
        await(seen);
        std::lock_guard<std::mutex> lock(mutex_);
        seen = job_.load(std::memory_order_relaxed);
        if (!ending_) look();
        return !ending_;
    }

    void end() {
        ring([this] { ending_ = true; });
    }

  private:
    void await(unsigned seen) {
        for (int spins = 0; spins < kSpins + kYields; spins++) {
            if (job_.load(std::memory_order_acquire) != seen) return;
            pause_briefly(spins);
        }
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return job_.load(std::memory_order_relaxed) != seen; });
    }

    std::mutex mutex_;
    std::condition_variable wake_;
    std::atomic<unsigned> job_{0};  // Number of the newest job.
    bool ending_ = false;
};

}  // namespace treadle
