#include "engine_crew.h"

namespace treadle {

Crew::Crew(int members) {
    for (int member = 1; member < members; member++) {
        workers_.emplace_back([this, member] { serve(member); });
    }
}

Crew::~Crew() {
    bell_.end();
    for (std::thread& worker : workers_) worker.join();
}

void Crew::start(int active, Call call, void* context) {
    active_ = active < members() ? active : members();
    if (active_ > 1) {
        bell_.ring([&] {
            call_ = call;
            context_ = context;
            posted_ = active_;
        });
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
    watch_until([&] { return meeting_.load(std::memory_order_acquire) != meeting; });
}

void Crew::serve(int member) {
    unsigned seen = 0;
    Call call = nullptr;
    void* context = nullptr;
    auto look = [&] {
        call = member < posted_ ? call_ : nullptr;
        context = context_;
    };
    while (bell_.next(seen, look)) {
        if (!call) continue;
        call(context, member);
        meet();
    }
}

}  // namespace treadle
