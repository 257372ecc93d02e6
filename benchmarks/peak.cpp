// What this machine's cores can do at best: dot products out of registers, no memory touched.
// peak SECONDS: for that long, turns of bf16 dot and fp32 FMA on 1 and on 2 threads; prints GF/s of the best tenth.
#include <immintrin.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <thread>
#include <vector>

static double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

static volatile float sink;
constexpr int accumulators = 20;  // enough to hide the latency of 4-6 cycles on two ports
constexpr int rounds = 400000;

// Loops over the sums must be unrolled, or the sums wander through memory and it is the store port that is measured; and
// the compiler must not know that all sums are equal, or it keeps one of them.
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

#if defined(__AVX512BF16__)
static void bfloat16_dots() {
    __m512 sums[accumulators];
    UNROLL
    for (auto& sum : sums) {
        sum = _mm512_setzero_ps();
        asm volatile("" : "+v"(sum));
    }
    const __m512bh ones = (__m512bh)_mm512_set1_epi32(0x3f803f80);
    for (int i = 0; i < rounds; i++) {
        UNROLL
        for (auto& sum : sums) sum = _mm512_dpbf16_ps(sum, ones, ones);
        asm volatile("");
    }
    UNROLL
    for (auto& sum : sums) sink = _mm512_reduce_add_ps(sum);
}
constexpr double bfloat16_work = 64.0 * accumulators * rounds;
#endif

#if defined(__AVX512F__)
static void float32_products() {
    __m512 sums[accumulators];
    UNROLL
    for (auto& sum : sums) {
        sum = _mm512_setzero_ps();
        asm volatile("" : "+v"(sum));
    }
    const __m512 ones = _mm512_set1_ps(1.0f);
    for (int i = 0; i < rounds; i++) {
        UNROLL
        for (auto& sum : sums) sum = _mm512_fmadd_ps(ones, ones, sum);
        asm volatile("");
    }
    UNROLL
    for (auto& sum : sums) sink = _mm512_reduce_add_ps(sum);
}
constexpr double float32_work = 32.0 * accumulators * rounds;
#elif defined(__AVX2__) && defined(__FMA__)
static void float32_products() {
    constexpr int narrow = 12;  // 16 registers
    __m256 sums[narrow];
    UNROLL
    for (auto& sum : sums) {
        sum = _mm256_setzero_ps();
        asm volatile("" : "+x"(sum));
    }
    const __m256 ones = _mm256_set1_ps(1.0f);
    for (int i = 0; i < rounds; i++) {
        UNROLL
        for (auto& sum : sums) sum = _mm256_fmadd_ps(ones, ones, sum);
        asm volatile("");
    }
    UNROLL
    for (auto& sum : sums) sink = _mm256_cvtss_f32(sum);
}
constexpr double float32_work = 16.0 * 12 * rounds;
#else
#error "peak.cpp knows AVX2 with FMA and AVX-512 only"
#endif

// By processor time, so that a busy neighbour does not look like a slow core.
static double rate(void (*work)(), double operations, int threads) {
    const std::clock_t begin = std::clock();
    std::vector<std::thread> others;
    for (int i = 1; i < threads; i++) others.emplace_back(work);
    work();
    for (auto& other : others) other.join();
    const double seconds_per_thread = double(std::clock() - begin) / CLOCKS_PER_SEC / threads;
    return operations * threads / seconds_per_thread / 1e9;
}

static double best_tenth(std::vector<double>& rates) {
    std::sort(rates.begin(), rates.end());
    return rates[rates.size() * 9 / 10];
}

int main(int count, char** arguments) {
    const double end = now() + (count > 1 ? std::atof(arguments[1]) : 1.0);
    std::vector<double> fp32[2], bf16[2];
    do {
        for (int threads = 1; threads <= 2; threads++) {
            fp32[threads - 1].push_back(rate(float32_products, float32_work, threads));
#if defined(__AVX512BF16__)
            bf16[threads - 1].push_back(rate(bfloat16_dots, bfloat16_work, threads));
#endif
        }
    } while (now() < end);
    std::printf("{\"fp32_1\": %.1f, \"fp32_2\": %.1f", best_tenth(fp32[0]), best_tenth(fp32[1]));
    if (!bf16[0].empty()) std::printf(", \"bf16_1\": %.1f, \"bf16_2\": %.1f", best_tenth(bf16[0]), best_tenth(bf16[1]));
    std::printf("}\n");
}
