// The two element types in which products are computed. Kernels see 32-bit words: a pair of neighbouring bfloat16
// values along the summed dimension, or one float. Everything else follows from `kPerWord`.
#pragma once

#include <cstdint>
#include <cstring>

#include "vector.h"

namespace treadle {

using Word = uint32_t;

struct Bfloat16 {
    using Value = uint16_t;
    static constexpr int kPerWord = 2;

    static Vec load(const Value* source) { return load_bfloat16(source); }
    static void store(Value* target, Vec value) { store_bfloat16(target, value); }
    static Vec dot(Vec accumulator, Words a, Words b) { return dot_bfloat16(accumulator, a, b); }

    static float widen(Value value) {
        uint32_t bits = static_cast<uint32_t>(value) << 16;
        float result;
        std::memcpy(&result, &bits, sizeof result);
        return result;
    }
    // Rounds to nearest even; only used on finite numbers.
    static Value narrow(float value) {
        uint32_t bits;
        std::memcpy(&bits, &value, sizeof bits);
        return static_cast<Value>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
    }
};

struct Float32 {
    using Value = float;
    static constexpr int kPerWord = 1;

    static Vec load(const Value* source) { return treadle::load(source); }
    static void store(Value* target, Vec value) { treadle::store(target, value); }
    static Vec dot(Vec accumulator, Words a, Words b) { return multiply_add(as_floats(a), as_floats(b), accumulator); }
    static float widen(Value value) { return value; }
    static Value narrow(float value) { return value; }
};

// Values seen as words: rows must start on a whole word, which padded widths guarantee.
template <class E>
const Word* as_words(const typename E::Value* values) {
    return reinterpret_cast<const Word*>(values);
}

}  // namespace treadle
