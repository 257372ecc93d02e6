#include "engine_sampler.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace treadle {

namespace {

typedef double Doubles __attribute__((vector_size(64)));
typedef int64_t Longs __attribute__((vector_size(64)));
constexpr int kWide = 8;

constexpr double kCoefficients[] = {
    1.0 / 6227020800.0, 1.0 / 479001600.0, 1.0 / 39916800.0, 1.0 / 3628800.0, 1.0 / 362880.0, 1.0 / 40320.0,
    1.0 / 5040.0,       1.0 / 720.0,       1.0 / 120.0,      1.0 / 24.0,      1.0 / 6.0,      1.0 / 2.0,
    1.0,                1.0};

// The specification's exp(l), l <= 0, in place.
void exponential(double* values, size_t count) {
    constexpr double kRound = 6755399441055744.0;  // 1.5 x 2^52: adding it rounds to the nearest even integer.
    for (size_t start = 0; start < count; start += kWide) {
        Doubles value{};
        const size_t here = std::min<size_t>(kWide, count - start);
        std::memcpy(&value, values + start, here * sizeof(double));
        const Doubles least = Doubles{} - 700.0;
        const Doubles clamped = value < least ? least : value;
        const Doubles power = (clamped * 1.4426950408889634 + kRound) - kRound;
        const Doubles rest = (clamped - power * 6.93147180369123816490e-01) - power * 1.90821492927058770002e-10;
        Doubles result = Doubles{} + kCoefficients[0];
        for (int i = 1; i < 14; i++) result = result * rest + kCoefficients[i];
        const Longs exponent = __builtin_convertvector(power, Longs);
        result = result * (Doubles)((exponent + 1023) << 52);
        result = value < least ? Doubles{} : result;
        std::memcpy(values + start, &result, here * sizeof(double));
    }
}

uint64_t mix(uint64_t z) {
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

double uniform(uint64_t seed, uint64_t index) {
    return static_cast<double>(mix(mix(seed) + (index + 1) * 0x9E3779B97F4A7C15u) >> 11) * 0x1p-53;
}

// Rises as `value` falls; 0 and -0 are one.
uint64_t falling_key(double value) {
    value += 0.0;
    uint64_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits >> 63 ? bits : ~(bits | 1ull << 63);
}

}  // namespace

Sampler::Sampler(const DrawSettings& settings, int vocabulary, const std::vector<int32_t>& prompt,
                 std::vector<LogitBias> bias)
    : settings_(settings), bias_(std::move(bias)), last_(prompt.back()), seen_(static_cast<size_t>(vocabulary)),
      written_(static_cast<size_t>(vocabulary)), x_(static_cast<size_t>(vocabulary)) {
    for (int32_t id : prompt) see(id);
}

void Sampler::see(int32_t id) {
    if (id == settings_.boundary || seen_[static_cast<size_t>(id)]) return;
    seen_[static_cast<size_t>(id)] = 1;
    seen_ids_.push_back(id);
}

int Sampler::pick(const float* logits) {
    if (!widen(logits)) return kNotANumber;
    penalise();
    const int token = settings_.temperature == 0 ? likeliest() : draw(drawn_);
    last_ = token;
    drawn_++;
    see(token);
    if (written_[static_cast<size_t>(token)]++ == 0) written_ids_.push_back(token);
    return token;
}

int Sampler::guess(const float* logits, int32_t last, int ahead) {
    if (!widen(logits)) return kNotANumber;
    std::swap(last, last_);
    penalise();
    std::swap(last, last_);
    return settings_.temperature == 0 ? likeliest() : draw(drawn_ + static_cast<uint64_t>(ahead));
}

double Sampler::log_probability(const float* logits, int token) {
    greatest_ = static_cast<double>(*std::max_element(logits, logits + x_.size()));
    scratch_.resize(x_.size());
    for (size_t i = 0; i < x_.size(); i++) scratch_[i] = static_cast<double>(logits[i]) - greatest_;
    exponential(scratch_.data(), scratch_.size());
    double sum = 0;
    for (double weight : scratch_) sum += weight;
    log_sum_ = std::log(sum);
    return static_cast<double>(logits[token]) - greatest_ - log_sum_;
}

void Sampler::likeliest(const float* logits, int count, std::vector<Likely>& into) {
    kept_.resize(x_.size());
    for (size_t i = 0; i < kept_.size(); i++) kept_[i] = static_cast<int32_t>(i);
    const auto end = kept_.begin() + std::min<int64_t>(count, static_cast<int64_t>(kept_.size()));
    std::partial_sort(kept_.begin(), end, kept_.end(), [&](int32_t a, int32_t b) {
        return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
    });
    for (auto id = kept_.begin(); id != end; ++id) {
        into.push_back({*id, static_cast<double>(logits[*id]) - greatest_ - log_sum_});
    }
}

bool Sampler::widen(const float* logits) {
    float nothing = 0.0f;  // Stays zero unless something is no finite number.
    for (size_t i = 0; i < x_.size(); i++) {
        x_[i] = static_cast<double>(logits[i]);
        nothing += logits[i] * 0.0f;
    }
    return nothing == 0.0f;
}

void Sampler::penalise() {
    for (const LogitBias& one : bias_) x_[static_cast<size_t>(one.id)] += one.value;
    const double repetition = settings_.repetition_penalty;
    if (repetition != 1) {
        for (int32_t id : seen_ids_) {
            double& x = x_[static_cast<size_t>(id)];
            x = x > 0 ? x / repetition : x * repetition;
        }
    }
    if (settings_.frequency_penalty != 0 || settings_.presence_penalty != 0) {
        for (int32_t id : written_ids_) {
            const double times = written_[static_cast<size_t>(id)];
            x_[static_cast<size_t>(id)] -= times * settings_.frequency_penalty + settings_.presence_penalty;
        }
    }
    if (last_ == settings_.boundary) {
        x_[static_cast<size_t>(settings_.boundary)] = -std::numeric_limits<double>::infinity();
    }
}

int Sampler::likeliest() const { return static_cast<int>(std::max_element(x_.begin(), x_.end()) - x_.begin()); }

int Sampler::draw(uint64_t index) {
    const double greatest = *std::max_element(x_.begin(), x_.end());
    keep_top_k();
    weights_.resize(kept_.size());
    for (size_t i = 0; i < kept_.size(); i++) {
        weights_[i] = (x_[static_cast<size_t>(kept_[i])] - greatest) / settings_.temperature;
    }
    exponential(weights_.data(), weights_.size());
    if (settings_.top_p < 1) keep_top_p();
    scratch_.clear();
    double running = 0;
    size_t count = 0;
    for (size_t i = 0; i < kept_.size(); i++) {
        if (!(weights_[i] >= settings_.min_p)) continue;
        running += weights_[i];
        scratch_.push_back(running);
        kept_[count++] = kept_[i];
    }
    if (count == 0) return likeliest();  // Only where nothing has a probability.
    const double wanted = uniform(settings_.seed, index) * running;
    const auto found = std::upper_bound(scratch_.begin(), scratch_.end(), wanted);
    return kept_[std::min(static_cast<size_t>(found - scratch_.begin()), count - 1)];
}

void Sampler::keep_top_k() {
    const size_t all = x_.size();
    const auto wanted = static_cast<size_t>(settings_.top_k);
    kept_.clear();
    if (wanted == 0 || wanted >= all) {
        for (size_t i = 0; i < all; i++) kept_.push_back(static_cast<int32_t>(i));
        return;
    }
    scratch_ = x_;
    std::nth_element(scratch_.begin(), scratch_.begin() + static_cast<int64_t>(wanted) - 1, scratch_.end(),
                     [](double a, double b) { return a > b; });
    const double least = scratch_[wanted - 1];
    size_t equal = wanted - static_cast<size_t>(std::count_if(x_.begin(), x_.end(), [&](double x) { return x > least; }));
    for (size_t i = 0; i < all; i++) {
        if (x_[i] > least || (x_[i] == least && equal > 0)) {
            if (x_[i] == least) equal--;
            kept_.push_back(static_cast<int32_t>(i));
        }
    }
}

// Sorts by falling logit, equal ones by rising id, and keeps the fewest that weigh enough. The greatest weighs 1, so
// what weighs no more than 2^-54 changes no running sum and is never reached: it need not be sorted.
void Sampler::keep_top_p() {
    ranked_.clear();
    for (size_t i = 0; i < kept_.size(); i++) {
        if (weights_[i] <= 0x1p-54) continue;
        ranked_.push_back({falling_key(x_[static_cast<size_t>(kept_[i])]), static_cast<int32_t>(i)});
    }
    other_.resize(ranked_.size());
    for (int shift = 0; shift < 64; shift += 8) {  // Counting sort of one byte after the other, each stable.
        size_t counts[257] = {};
        for (const Ranked& one : ranked_) counts[(one.key >> shift & 255) + 1]++;
        if (!ranked_.empty() && counts[(ranked_[0].key >> shift & 255) + 1] == ranked_.size()) continue;
        for (int i = 0; i < 256; i++) counts[i + 1] += counts[i];
        for (const Ranked& one : ranked_) other_[counts[one.key >> shift & 255]++] = one;
        std::swap(ranked_, other_);
    }
    double sum = 0;
    for (const Ranked& one : ranked_) sum += weights_[static_cast<size_t>(one.place)];
    const double enough = settings_.top_p * sum;
    double running = 0;
    size_t count = 0;
    while (count < ranked_.size()) {
        running += weights_[static_cast<size_t>(ranked_[count++].place)];
        if (running >= enough) break;
    }
    scratch_.assign(kept_.size(), -1.0);
    for (size_t i = 0; i < count; i++) {
        const auto place = static_cast<size_t>(ranked_[i].place);
        scratch_[place] = weights_[place];
    }
    size_t left = 0;
    for (size_t i = 0; i < kept_.size(); i++) {
        if (scratch_[i] < 0) continue;
        kept_[left] = kept_[i];
        weights_[left++] = scratch_[i];
    }
    kept_.resize(left);
    weights_.resize(left);
}

}  // namespace treadle
