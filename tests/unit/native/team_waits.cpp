// How much processor time a team takes while one of its workers is held up. Prints seconds.
#include <cstdio>
#include <ctime>

#include "thread_team.h"
#include "thread_team.cpp"

int main() {
    treadle::ThreadTeam team(2);
    const std::clock_t begin = std::clock();
    for (int round = 0; round < 4; round++) {
        std::atomic<int> started{0};
        team.for_each(2, [&](int, int thread) {
            started.fetch_add(1);
            while (started.load() < 2) std::this_thread::yield();
            // As a worker whose core a neighbour took: it makes no progress and uses no time.
            if (thread > 0) std::this_thread::sleep_for(std::chrono::milliseconds(100));
        });
    }
    std::printf("%f\n", static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC);
}
