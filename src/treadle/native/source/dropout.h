// Dropout by counter hash: whether a value is kept depends on its place and the seed alone, so nothing is stored and
// the backward pass asks again.
#pragma once

#include <cstdint>

namespace treadle {

struct Dropout {
    float rate = 0.0f;
    uint64_t seed = 0;  // Of the step.

    bool on() const { return rate > 0.0f; }

    // Factors (0, or 1 / (1 - rate)) for `count` neighbouring channels of one token; `site` numbers the sub-layers,
    // `token` is the token's number within the step.
    void factors(int site, int64_t token, int channel, int count, float* out) const {
        const uint32_t threshold = static_cast<uint32_t>(static_cast<double>(rate) * 4294967296.0);
        const float kept = 1.0f / (1.0f - rate);
        const uint64_t place = static_cast<uint64_t>(token) * 4096u + static_cast<uint64_t>(site);
        uint64_t row = seed + 0x9E3779B97F4A7C15ull * place;
        row = (row ^ (row >> 30)) * 0xBF58476D1CE4E5B9ull;
        row = (row ^ (row >> 27)) * 0x94D049BB133111EBull;
        const uint32_t low = static_cast<uint32_t>(row);
        const uint32_t high = static_cast<uint32_t>(row >> 32);
        for (int i = 0; i < count; i++) {
            uint32_t hash = (static_cast<uint32_t>(channel + i) * 0x9E3779B1u + low) ^ high;
            hash = (hash ^ (hash >> 15)) * 0x85EBCA77u;
            hash = (hash ^ (hash >> 13)) * 0xC2B2AE3Du;
            hash ^= hash >> 16;
            out[i] = hash >= threshold ? kept : 0.0f;
        }
    }
};

}  // namespace treadle
