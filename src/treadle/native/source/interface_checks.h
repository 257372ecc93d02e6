// What all functions of the C interface share: refusing with words, and checking what comes from outside.
#pragma once

#include <exception>
#include <new>
#include <string>

#include "interface.h"

namespace treadle {

// Notes `message` for `treadle_last_error` of this thread and returns `code`.
int32_t fail(int32_t code, const std::string& message);

// Runs `body`, which returns a code; nothing thrown may cross the interface.
template <class Body>
int32_t guarded(Body body) {
    try {
        return body();
    } catch (const std::bad_alloc&) {
        return fail(TREADLE_OUT_OF_MEMORY, "the system refused memory");
    } catch (const std::exception& error) {
        return fail(TREADLE_INVALID, error.what());
    }
}

struct Range {
    const char* name;
    int64_t value;
    int64_t least;
    int64_t most;
};

int32_t check_range(const Range& range);

template <size_t Count>
int32_t check_ranges(const Range (&ranges)[Count]) {
    for (const Range& range : ranges) {
        if (int32_t code = check_range(range)) return code;
    }
    return TREADLE_OK;
}

// A network that can exist, with at most so many positions.
int32_t check_shape(const TreadleShape* shape, int64_t longest_context);

struct Parameter;
void describe(const Parameter& parameter, TreadleParameter* result);
int32_t check_count(const Parameter& parameter, int64_t count);

}  // namespace treadle
