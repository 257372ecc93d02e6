// How many threads steps are given, and what that costs, on a clock of our own: no step is really taken.
//
//     pace_steps SECONDS_ALONE STEPS ROWS FIRST_SECONDS NEIGHBOUR_FROM NEIGHBOUR_UNTIL STALL_AT
//
// With two threads a step takes .55 of its time alone, and six times that time while a neighbour is busy; the very first
// step takes FIRST_SECONDS more, and the one at STALL_AT .03. Prints the time of all steps over that of the best choices, and the share of steps
// with two threads before, beside and after the neighbour.
#include <cstdio>
#include <cstdlib>

#include "engine_pace.h"

int main(int, char** arguments) {
    const double alone = std::atof(arguments[1]);
    const int steps = std::atoi(arguments[2]);
    const int rows = std::atoi(arguments[3]);
    const double first = std::atof(arguments[4]);
    const int from = std::atoi(arguments[5]);
    const int until = std::atoi(arguments[6]);
    const int stall = std::atoi(arguments[7]);
    treadle::Pace pace(2);
    double now = 0.0;
    double best = 0.0;
    int both[3] = {0, 0, 0};
    int all[3] = {0, 0, 0};
    for (int step = 0; step < steps; step++) {
        const bool busy = step >= from && step < until;
        const int phase = step < from ? 0 : busy ? 1 : 2;
        const bool two = pace.threads(rows) == 2;
        const double more = step == 0 ? first : step == stall ? 0.03 : 0.0;
        const double seconds = (two ? (busy ? 6.0 : 0.55) * alone : alone) + more;
        now += seconds;
        best += (busy ? 1.0 : 0.55) * alone + more;
        pace.took(rows, seconds, now);
        both[phase] += two;
        all[phase]++;
    }
    std::printf("%f", now / best);
    for (int phase = 0; phase < 3; phase++) std::printf(" %f", static_cast<double>(both[phase]) / std::max(all[phase], 1));
    std::printf("\n");
}
