// How many tokens are guessed, and what that costs, on a clock of our own: no step is really taken.
//
//     ahead_steps STEPS RIGHT ROW_COST GUESS_COST
//
// A guess is right with the chance RIGHT. A step costs 1 and ROW_COST for each guess checked, and GUESS_COST for making it.
// Prints tokens per time over those of no guesses, over those of the best number, and the number used most in the last
// quarter.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "engine_ahead.h"

int main(int, char** arguments) {
    const int steps = std::atoi(arguments[1]);
    const double right = std::atof(arguments[2]);
    const double each = std::atof(arguments[3]) + std::atof(arguments[4]);
    treadle::Ahead ahead;
    uint32_t state = 1;
    auto chance = [&] { return (state = state * 1664525u + 1013904223u) / 4294967296.0; };
    double now = 0, best = 1;
    long tokens = 0;
    int used[8] = {};
    for (int count : {1, 3, 7}) {
        double expected = 1, power = 1;
        for (int i = 0; i < count; i++) expected += power *= right;
        best = std::max(best, expected / (1 + count * each));
    }
    for (int step = 0; step < steps; step++) {
        const int count = ahead.count(1);
        int wrote = 1;
        while (wrote <= count && chance() < right) wrote++;
        const double seconds = 1e-3 * (1 + count * each);
        now += seconds;
        tokens += wrote;
        ahead.took(1, wrote, seconds, now);
        if (4 * step > 3 * steps) used[count]++;
    }
    int most = 0;
    for (int count = 0; count < 8; count++) most = used[count] > used[most] ? count : most;
    const double rate = static_cast<double>(tokens) / (1e3 * now);
    std::printf("%f %f %d\n", rate, rate / best, most);
}
