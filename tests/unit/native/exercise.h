// What the exercisers share: a failing call ends the program, and weights come from one fixed random stream.
#pragma once

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "interface.h"

inline uint32_t next_random() {
    static uint32_t state = 12345;
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

inline void require(int32_t code) {
    if (code == 0) return;
    std::fprintf(stderr, "%s\n", treadle_last_error());
    std::exit(2);
}

// Random values for one weight, between -1000 / divisor and 1000 / divisor.
inline std::vector<float> random_weight(const TreadleParameter& parameter, float divisor) {
    const int columns = parameter.columns ? parameter.columns : 1;
    std::vector<float> values(static_cast<size_t>(parameter.rows) * static_cast<size_t>(columns));
    for (float& value : values) value = (static_cast<float>(next_random() % 2001) - 1000.0f) / divisor;
    return values;
}
