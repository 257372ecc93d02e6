// How fast two threads read a block that they read over and over: `reading BYTES SECONDS` prints bytes a second, of the
// fastest fifth of each thread's passes over its half.
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

typedef uint64_t Words __attribute__((vector_size(64)));

static volatile uint64_t sink;

static double read_over_and_over(size_t bytes, double seconds) {
    void* place = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (place == MAP_FAILED) std::exit(1);
    madvise(place, bytes, MADV_HUGEPAGE);
    std::memset(place, 1, bytes);
    const auto* words = static_cast<const Words*>(place);
    const size_t count = bytes / sizeof(Words) / 8 * 8;
    std::vector<double> times;
    for (double spent = 0; spent < seconds; spent += times.back()) {
        const auto begin = std::chrono::steady_clock::now();
        Words sums[8] = {};
        for (size_t i = 0; i < count; i += 8) {
            for (size_t j = 0; j < 8; j++) sums[j] ^= words[i + j];
        }
        Words all = sums[0];
        for (size_t j = 1; j < 8; j++) all ^= sums[j];
        sink = all[0] ^ all[7];
        times.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
    std::sort(times.begin(), times.end());
    const size_t fifth = std::max<size_t>(1, times.size() / 5);
    double sum = 0;
    for (size_t i = 0; i < fifth; i++) sum += times[i];
    return static_cast<double>(count * sizeof(Words)) / (sum / static_cast<double>(fifth));
}

int main(int, char** arguments) {
    const size_t half = static_cast<size_t>(std::atoll(arguments[1])) / 2;
    const double seconds = std::atof(arguments[2]);
    double other = 0;
    std::thread second([&] { other = read_over_and_over(half, seconds); });
    const double first = read_over_and_over(half, seconds);
    second.join();
    std::printf("%.0f\n", first + other);
}
