#include "thread_team.h"

namespace treadle {

namespace {

// Phases of one step follow each other within microseconds, steps within milliseconds: watch a while, then sleep.
constexpr int kSpins = 2000;
constexpr int kYields = 50;

void pause_briefly() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

}  // namespace

ThreadTeam::ThreadTeam(int threads) {
    for (int thread = 1; thread < threads; thread++) {
        workers_.emplace_back([this, thread] { serve(thread); });
    }
}

ThreadTeam::~ThreadTeam() {
    {
        std::lock_guard<std::mutex> lock(mutex_);
        ending_ = true;
        job_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
}

void ThreadTeam::run(int tasks, Call call, void* context) {
    if (tasks <= 0) return;
    {
        std::lock_guard<std::mutex> lock(mutex_);
        tasks_ = tasks;
        call_ = call;
        context_ = context;
        next_.store(0, std::memory_order_relaxed);
        open_ = true;
        job_.fetch_add(1, std::memory_order_release);
    }
    if (!workers_.empty() && tasks > 1) wake_.notify_all();
    take_tasks(0);
    {
        std::lock_guard<std::mutex> lock(mutex_);
        open_ = false;
    }
    for (int spins = 0; working_.load(std::memory_order_acquire) > 0; spins++) {
        if (spins < kSpins) pause_briefly();
        else std::this_thread::yield();
    }
}

void ThreadTeam::take_tasks(int thread) {
    for (int task; (task = next_.fetch_add(1, std::memory_order_relaxed)) < tasks_;) call_(context_, task, thread);
}

void ThreadTeam::serve(int thread) {
    unsigned seen = 0;
    for (;;) {
        await_job(seen);
        bool joined = false;
        {
            std::lock_guard<std::mutex> lock(mutex_);
            seen = job_.load(std::memory_order_relaxed);
            if (ending_) return;
            joined = open_;
            if (joined) working_.fetch_add(1, std::memory_order_relaxed);
        }
        if (!joined) continue;
        take_tasks(thread);
        working_.fetch_sub(1, std::memory_order_release);
    }
}

// Returns when a job newer than `seen` was posted.
void ThreadTeam::await_job(unsigned seen) {
    for (int spins = 0; spins < kSpins + kYields; spins++) {
        if (job_.load(std::memory_order_acquire) != seen) return;
        if (spins < kSpins) pause_briefly();
        else std::this_thread::yield();
    }
    std::unique_lock<std::mutex> lock(mutex_);
    wake_.wait(lock, [&] { return job_.load(std::memory_order_relaxed) != seen; });
}

}  // namespace treadle
