// Threads that go through one step together: each runs the whole network on its part of the heads and panels.
#pragma once

#include <vector>

#include "job_bell.h"

namespace treadle {

// The caller is member 0. A job may use fewer members than there are; the others stay asleep.
class Crew {
  public:
    explicit Crew(int members);
    ~Crew();
    Crew(const Crew&) = delete;
    Crew& operator=(const Crew&) = delete;

    int members() const { return static_cast<int>(workers_.size()) + 1; }

    // Calls work(member) on members 0 .. active - 1; returns when all have come back.
    template <class Work>
    void run(int active, Work&& work) {
        start(active, [](void* context, int member) { (*static_cast<Work*>(context))(member); }, &work);
    }

    // Waits until all members of the running job have come here.
    void meet();

  private:
    using Call = void (*)(void* context, int member);

    void start(int active, Call call, void* context);
    void serve(int member);

    std::vector<std::thread> workers_;
    JobBell bell_;
    int active_ = 1;  // Members of the running job; written only between jobs.
    int posted_ = 1;  // The same for those who come late: touched under the bell, as what follows.
    Call call_ = nullptr;
    void* context_ = nullptr;
    alignas(64) std::atomic<int> arrived_{0};
    alignas(64) std::atomic<unsigned> meeting_{0};  // Number of meetings that are over.
};

}  // namespace treadle
