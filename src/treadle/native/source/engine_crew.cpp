#include "engine_crew.h"

namespace treadle {

namespace {

// Meetings are microseconds apart and steps hardly more: watch a while, let others run a while, then sleep.
constexpr int kSpins = 3000;
constexpr int kYields = 200;

void pause_briefly() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

}  // namespace

Crew::Crew(int members) {
    for (int member = 1; member < members; member++) {
        workers_.emplace_back([this, member] { serve(member); });
    }
}

Crew::~Crew() {
    {
        std::lock_guard<std::mutex> lock(mutex_);
        ending_ = true;
        job_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
}

void Crew::start(int active, Call call, void* context) {
    active_ = active < members() ? active : members();
    if (active_ > 1) {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            call_ = call;
            context_ = context;
            posted_ = active_;
            job_.fetch_add(1, std::memory_order_release);
        }
        wake_.notify_all();
    }
    call(context, 0);
    meet();
}

void Crew::meet() {
    const int active = active_;
    if (active == 1) return;
    const unsigned meeting = meeting_.load(std::memory_order_acquire);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) == active - 1) {
        arrived_.store(0, std::memory_order_relaxed);
        meeting_.store(meeting + 1, std::memory_order_release);
        return;
    }
    for (int spins = 0; meeting_.load(std::memory_order_acquire) == meeting; spins++) {
        if (spins < kSpins) pause_briefly();
        else std::this_thread::yield();
    }
}

void Crew::serve(int member) {
    unsigned seen = 0;
    for (;;) {
        await_job(seen);
        Call call = nullptr;
        void* context = nullptr;
        {
            std::lock_guard<std::mutex> lock(mutex_);
            seen = job_.load(std::memory_order_relaxed);
            if (ending_) return;
            if (member < posted_) {
                call = call_;
                context = context_;
            }
        }
        if (!call) continue;
        call(context, member);
        meet();
    }
}

// Returns when a job newer than `seen` was posted.
void Crew::await_job(unsigned seen) {
    for (int spins = 0; spins < kSpins + kYields; spins++) {
        if (job_.load(std::memory_order_acquire) != seen) return;
        if (spins < kSpins) pause_briefly();
        else std::this_thread::yield();
    }
    std::unique_lock<std::mutex> lock(mutex_);
    wake_.wait(lock, [&] { return job_.load(std::memory_order_relaxed) != seen; });
}

}  // namespace treadle
