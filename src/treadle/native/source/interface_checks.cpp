#include "interface_checks.h"

#include "parameters.h"

namespace treadle {

namespace {

thread_local std::string last_error;

}  // namespace

int32_t fail(int32_t code, const std::string& message) {
    last_error = message;
    return code;
}

int32_t check_range(const Range& range) {
    if (range.value >= range.least && range.value <= range.most) return TREADLE_OK;
    return fail(TREADLE_INVALID, std::string(range.name) + " is " + std::to_string(range.value) + "; possible are " +
                                     std::to_string(range.least) + " to " + std::to_string(range.most));
}

int32_t check_shape(const TreadleShape* shape, int64_t longest_context) {
    if (!shape) return fail(TREADLE_INVALID, "a shape must be given");
    const Range ranges[] = {
        {"layers", shape->layers, 1, 1024},
        {"width", shape->width, 1, 65536},
        {"heads", shape->heads, 1, 1024},
        {"kv_heads", shape->kv_heads, 1, shape->heads},
        {"head_width", shape->head_width, 1, 1024},
        {"feed_forward", shape->feed_forward, 1, 262144},
        {"vocabulary", shape->vocabulary, 1, 1 << 22},
        {"context", shape->context, 1, longest_context},
        {"norm", shape->norm, TREADLE_RMSNORM, TREADLE_LAYERNORM},
        {"positions", shape->positions, TREADLE_ROPE, TREADLE_LEARNED},
        {"activation", shape->activation, TREADLE_SWIGLU, TREADLE_RELU2},
    };
    if (int32_t code = check_ranges(ranges)) return code;
    if (shape->heads % shape->kv_heads) return fail(TREADLE_INVALID, "heads must be a multiple of kv_heads");
    if (shape->positions == TREADLE_ROPE && shape->head_width % 2) {
        return fail(TREADLE_INVALID, "rotary positions need an even head_width");
    }
    return TREADLE_OK;
}

void describe(const Parameter& parameter, TreadleParameter* result) {
    result->rows = parameter.rows;
    result->columns = parameter.columns;
    result->name[parameter.name.copy(result->name, sizeof result->name - 1)] = '\0';
}

int32_t check_count(const Parameter& parameter, int64_t count) {
    if (count == parameter.natural_size()) return TREADLE_OK;
    return fail(TREADLE_INVALID, parameter.name + " has " + std::to_string(parameter.natural_size()) +
                                     " values, not " + std::to_string(count));
}

}  // namespace treadle

const char* treadle_last_error(void) { return treadle::last_error.c_str(); }
