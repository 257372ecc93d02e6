// Threads that wait for work and share it out task by task.
#pragma once

#include <memory>
#include <vector>

#include "job_bell.h"

namespace treadle {

// The caller is thread 0 and works too. Tasks are handed out in order, to whoever is free: a thread that the system
// has put aside for a busy neighbour takes fewer, and one that has not woken up is not waited for.
class ThreadTeam {
  public:
    explicit ThreadTeam(int threads);
    ~ThreadTeam();
    ThreadTeam(const ThreadTeam&) = delete;
    ThreadTeam& operator=(const ThreadTeam&) = delete;

    int threads() const { return static_cast<int>(workers_.size()) + 1; }

    // Calls work(task, thread) for each task in 0 .. tasks - 1; returns when all are done.
    template <class Work>
    void for_each(int tasks, Work&& work) {
        run(tasks, [](void* context, int task, int thread) { (*static_cast<Work*>(context))(task, thread); }, &work);
    }

  private:
    using Call = void (*)(void* context, int task, int thread);

    void run(int tasks, Call call, void* context);
    void serve(int thread);
    void take_tasks(int thread);
    void leave();
    void await_workers();

    std::vector<std::thread> workers_;
    JobBell bell_;
    std::atomic<int> next_{0};
    std::atomic<int> working_{0};  // Workers inside the open job.
    std::mutex leaving_;
    std::condition_variable left_;
    int tasks_ = 0;
    Call call_ = nullptr;
    void* context_ = nullptr;
    bool open_ = false;
};

}  // namespace treadle
