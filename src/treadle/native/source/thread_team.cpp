#include "thread_team.h"

namespace treadle {

ThreadTeam::ThreadTeam(int threads) {
    for (int thread = 1; thread < threads; thread++) {
        workers_.emplace_back([this, thread] { serve(thread); });
    }
}

ThreadTeam::~ThreadTeam() {
    bell_.end();
    for (std::thread& worker : workers_) worker.join();
}

void ThreadTeam::run(int tasks, Call call, void* context) {
    if (tasks <= 0) return;
    auto prepare = [&] {
        tasks_ = tasks;
        call_ = call;
        context_ = context;
        next_.store(0, std::memory_order_relaxed);
        open_ = true;
    };
    if (!workers_.empty() && tasks > 1) bell_.ring(prepare);
    else bell_.change(prepare);  // Who is asleep need not wake up for this; who is awake does not see it as new.
    take_tasks(0);
    bell_.change([&] { open_ = false; });
    await_workers();
}

// A worker may share its core with a busy neighbour: a caller that kept watching would hold the other core, to which the
// system could move the worker.
void ThreadTeam::await_workers() {
    for (int spins = 0; spins < kSpins + kYields; spins++) {
        if (working_.load(std::memory_order_acquire) == 0) return;
        pause_briefly(spins);
    }
    std::unique_lock<std::mutex> lock(leaving_);
    left_.wait(lock, [&] { return working_.load(std::memory_order_acquire) == 0; });
}

void ThreadTeam::leave() {
    {
        std::lock_guard<std::mutex> lock(leaving_);
        if (working_.fetch_sub(1, std::memory_order_release) > 1) return;
    }
    left_.notify_one();
}

void ThreadTeam::take_tasks(int thread) {
    for (int task; (task = next_.fetch_add(1, std::memory_order_relaxed)) < tasks_;) call_(context_, task, thread);
}

void ThreadTeam::serve(int thread) {
    unsigned seen = 0;
    bool joined = false;
    auto look = [&] {
        joined = open_;
        if (joined) working_.fetch_add(1, std::memory_order_relaxed);
    };
    while (bell_.next(seen, look)) {
        if (!joined) continue;
        take_tasks(thread);
        leave();
    }
}

}  // namespace treadle
