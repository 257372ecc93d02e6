#include "trial.h"

#include <algorithm>
#include <ctime>

#include "arena.h"

namespace treadle {

namespace {

// Time that others take from this thread does not count.
double processor_seconds() {
    timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// Where one trial lies in memory.
template <class E>
struct TrialBuffers {
    void place(const Extents& extents, Arena& arena) {
        input = arena.take<typename E::Value>(static_cast<int64_t>(extents.rows) * extents.inner);
        upstream = arena.take<typename E::Value>(static_cast<int64_t>(extents.rows) * extents.columns);
        packs = arena.take<typename E::Value>(static_cast<int64_t>(extents.columns) * extents.inner);
        output = arena.take<float>(static_cast<int64_t>(extents.rows) * extents.columns);
        gradient = arena.take<float>(static_cast<int64_t>(extents.columns) * extents.inner);
        scratch = arena.take<Word>(transposed_scratch(extents.inner));
    }

    // Memory that was never written may all be one page of zeros.
    void fill(const Extents& extents) {
        const typename E::Value one = E::narrow(1.0f);
        std::fill(input, input + static_cast<int64_t>(extents.rows) * extents.inner, one);
        std::fill(upstream, upstream + static_cast<int64_t>(extents.rows) * extents.columns, one);
        std::fill(packs, packs + static_cast<int64_t>(extents.columns) * extents.inner, one);
    }

    typename E::Value* input;
    typename E::Value* upstream;
    typename E::Value* packs;
    float* output;
    float* gradient;
    Word* scratch;
};

}  // namespace

template <class E>
double trial_seconds(const Extents& extents) {
    Arena counting;
    Arena arena;
    TrialBuffers<E> buffers;
    buffers.place(extents, counting);
    if (!arena.allocate(counting.used())) return -1.0;
    buffers.place(extents, arena);
    buffers.fill(extents);
    double shortest = 0.0;
    for (int round = 0; round < 3; round++) {  // The first one only warms the caches.
        const double begin = processor_seconds();
        multiply_into<E>(extents, buffers.input, as_words<E>(buffers.packs), buffers.output, extents.columns, false);
        multiply_transposed<E>({extents.columns, extents.inner, extents.rows}, buffers.upstream, extents.columns,
                               buffers.input, extents.inner, buffers.gradient, false, buffers.scratch);
        const double seconds = processor_seconds() - begin;
        if (round > 0 && (round == 1 || seconds < shortest)) shortest = seconds;
    }
    return shortest;
}

template double trial_seconds<Bfloat16>(const Extents&);
template double trial_seconds<Float32>(const Extents&);

}  // namespace treadle
