// From logits to a token by the rules of generation/sampling.py, bit for bit.
#pragma once

#include <cstdint>
#include <vector>

namespace treadle {

struct DrawSettings {
    double temperature, top_p, min_p;
    double repetition_penalty, frequency_penalty, presence_penalty;
    int64_t top_k;  // 0: all.
    uint64_t seed;
    int32_t boundary;
};

struct LogitBias {
    int32_t id;
    double value;
};

// A token that might have stood in another's place.
struct Likely {
    int32_t id;
    double log_probability;
};

// The rules for one text, with what they remember of it.
class Sampler {
  public:
    Sampler(const DrawSettings& settings, int vocabulary, const std::vector<int32_t>& prompt,
            std::vector<LogitBias> bias);

    static constexpr int kNotANumber = -1;

    // Chooses the next token and remembers it; `kNotANumber` if a logit is not finite.
    int pick(const float* logits);
    // What it would choose from these logits as the token after `ahead` others, of which the newest is `last`; remembers
    // nothing. The logits are another model's, so this is a guess.
    int guess(const float* logits, int32_t last, int ahead);
    // Natural logarithm of the token's probability as the model sees it: before penalties, bias and temperature.
    double log_probability(const float* logits, int token);
    // The same of the `count` likeliest tokens (fewer if there are not so many), likeliest first, equal ones by rising
    // id; for the logits that `log_probability` was last asked about.
    void likeliest(const float* logits, int count, std::vector<Likely>& into);

    int32_t boundary() const { return settings_.boundary; }

  private:
    bool widen(const float* logits);
    void penalise();
    int likeliest() const;
    int draw(uint64_t index);
    void keep_top_k();
    void keep_top_p();
    void see(int32_t id);

    DrawSettings settings_;
    std::vector<LogitBias> bias_;
    int32_t last_;
    uint64_t drawn_ = 0;
    std::vector<int32_t> seen_ids_;      // Each id in the prompt or written, once, without the boundary.
    std::vector<int32_t> written_ids_;   // Each id written, once.
    std::vector<uint8_t> seen_;          // [vocabulary]
    std::vector<int32_t> written_;       // [vocabulary]: times written.
    std::vector<double> x_;              // [vocabulary]
    std::vector<double> weights_;        // Of `kept_`.
    std::vector<int32_t> kept_;          // Ids, rising.
    std::vector<double> scratch_;
    double greatest_ = 0, log_sum_ = 0;  // Of the logits whose probabilities were asked for last.
    struct Ranked { uint64_t key; int32_t place; };
    std::vector<Ranked> ranked_, other_;
};

}  // namespace treadle
