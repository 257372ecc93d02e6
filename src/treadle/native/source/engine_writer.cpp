#include "engine_writer.h"

#include <algorithm>

namespace treadle {

namespace {

// As `window_start` in generation/generate.py.
int64_t window_start(int64_t length, int64_t context) {
    const int64_t stride = context - context / 2;
    const int64_t beyond = std::max<int64_t>(0, length - context);
    return (beyond + stride - 1) / stride * stride;
}

void tell_logs(Text& text, const float* logits, int token) {
    text.logs.push_back(text.sampler.log_probability(logits, token));
    text.sampler.likeliest(logits, text.alternatives, text.likely);
}

}  // namespace

void Writer::step(const StepRows& rows) {
    engine_.step(rows);
    for (int row = 0; row < rows.count; row++) {
        std::vector<int32_t>& held = held_[static_cast<size_t>(rows.slots[row])];
        held.resize(static_cast<size_t>(rows.positions[row]));
        held.push_back(rows.tokens[row]);
    }
}

void Writer::begin(int slot, Text text) {
    text.window = window_start(static_cast<int64_t>(text.ids.size()), engine_.shape().context);
    enter_window(slot, text);
    texts_[static_cast<size_t>(slot)].emplace(std::move(text));
}

// What any slot holds of the window's beginning need not be computed again, but the last token is fed for its logits.
void Writer::enter_window(int slot, Text& text) {
    const auto start = text.ids.begin() + text.window;
    auto common = [&](const std::vector<int32_t>& held) {
        return std::mismatch(held.begin(), held.end(), start, text.ids.end()).second - start;
    };
    size_t best = static_cast<size_t>(slot);
    for (size_t other = 0; other < held_.size(); other++) {
        if (common(held_[other]) > common(held_[best])) best = other;
    }
    const auto count = common(held_[best]);
    if (best != static_cast<size_t>(slot)) {
        engine_.copy_prefix(static_cast<int>(best), slot, static_cast<int>(count));
        held_[static_cast<size_t>(slot)].assign(start, start + count);
    }
    text.fed = std::min<int64_t>(text.window + count, static_cast<int64_t>(text.ids.size()) - 1);
}

// Every text gets some rows, so that a long prompt takes no token from others and nobody waits for ever; what is left
// of a step goes to those that need the fewest, whose first token comes soonest.
void Writer::share_rows() {
    int64_t left = kStepRows;
    for (const auto& [unread, slot] : unread_) left -= std::min<int64_t>(unread, kTogether);
    std::sort(unread_.begin(), unread_.end());
    for (auto& [rows, slot] : unread_) {
        const int64_t least = std::min<int64_t>(rows, kTogether);
        const int64_t more = std::clamp<int64_t>(rows - least, 0, std::max<int64_t>(left, 0));
        left -= more;
        rows = least + more;
    }
}

void Writer::gather(int slot, Text& text, int64_t rows) {
    const auto length = static_cast<int64_t>(text.ids.size());
    for (; rows > 0; rows--, text.fed++) {
        tokens_.push_back(text.ids[static_cast<size_t>(text.fed)]);
        slots_.push_back(slot);
        positions_.push_back(static_cast<int32_t>(text.fed - text.window));
    }
    if (text.fed == length) wanted_.push_back(static_cast<int32_t>(tokens_.size()) - 1);
}

// One step of all texts; false when there is nothing to write any more, or a text has begun or ended.
bool Writer::advance(int64_t room) {
    tokens_.clear();
    slots_.clear();
    positions_.clear();
    wanted_.clear();
    unread_.clear();
    for (size_t slot = 0; slot < texts_.size(); slot++) {
        if (!texts_[slot] || texts_[slot]->ending != Ending::kNone) continue;
        Text& text = *texts_[slot];
        const auto length = static_cast<int64_t>(text.ids.size());
        const int64_t window = window_start(length, engine_.shape().context);
        if (window != text.window) {
            text.window = window;
            enter_window(static_cast<int>(slot), text);
        }
        unread_.emplace_back(length - text.fed, static_cast<int>(slot));
    }
    if (unread_.empty()) return false;
    const double start = seconds_now();
    guess(room);
    share_rows();
    for (size_t i = 0; i < unread_.size(); i++) {
        const auto& [rows, slot] = unread_[i];
        gather(slot, *texts_[static_cast<size_t>(slot)], rows);
        if (!guesses_.empty()) gather_guess(guesses_[i]);
    }
    logits_.resize(wanted_.size() * static_cast<size_t>(engine_.shape().vocabulary));
    step({tokens_.data(), slots_.data(), positions_.data(), static_cast<int>(tokens_.size()), wanted_.data(),
          static_cast<int>(wanted_.size()), logits_.data()});
    const Taken taken = take_all();
    if (!guesses_.empty()) {
        const double end = seconds_now();
        drafter_->took(static_cast<int>(guesses_.size()), taken.tokens, end - start, end);
    }
    return taken.going;
}

// Guesses for all texts, unless one still reads: a step's rows are for reading then.
void Writer::guess(int64_t room) {
    guesses_.clear();
    const bool reads = std::any_of(unread_.begin(), unread_.end(), [](const auto& one) { return one.first > 1; });
    if (!drafter_ || reads) return;
    const int64_t ahead = drafter_->ahead(static_cast<int>(unread_.size()));
    for (const auto& [rows, slot] : unread_) {
        Text& text = *texts_[static_cast<size_t>(slot)];
        const auto length = static_cast<int64_t>(text.ids.size());
        const int64_t most = std::min({ahead, room - 1, text.window + engine_.shape().context - length,
                                       text.most - length - 1});
        guesses_.push_back({slot, text.ids.data() + text.window, length - text.window, &text.sampler,
                            static_cast<int>(most)});
    }
    drafter_->guess(guesses_);
}

void Writer::gather_guess(const Guess& one) {
    for (size_t i = 0; i < one.tokens.size(); i++) {
        tokens_.push_back(one.tokens[i]);
        slots_.push_back(one.slot);
        positions_.push_back(static_cast<int32_t>(one.length) + static_cast<int32_t>(i));
        wanted_.push_back(static_cast<int32_t>(tokens_.size()) - 1);
    }
}

// Draws the next token of each text that was read to its end, and goes on as long as it is the one that was guessed: the
// logits after it are there already. Guesses after a wrong one are forgotten.
Writer::Taken Writer::take_all() {
    Taken taken;
    const float* logits = logits_.data();
    for (size_t i = 0; i < unread_.size(); i++) {
        const auto slot = static_cast<size_t>(unread_[i].second);
        Text& text = *texts_[slot];
        if (text.fed < static_cast<int64_t>(text.ids.size())) continue;
        const std::vector<int32_t> none;
        const std::vector<int32_t>& guessed = guesses_.empty() ? none : guesses_[i].tokens;
        size_t right = 0;
        for (size_t j = 0; j <= guessed.size(); j++) {
            const int token = take(text, logits + j * static_cast<size_t>(engine_.shape().vocabulary));
            if (token >= 0) taken.tokens++;
            if (text.ending != Ending::kNone || j == guessed.size() || token != guessed[j]) break;
            right++;
        }
        if (drafter_) drafter_->count(static_cast<int64_t>(guessed.size()), static_cast<int64_t>(right));
        logits += (guessed.size() + 1) * static_cast<size_t>(engine_.shape().vocabulary);
        text.fed += static_cast<int64_t>(right);
        held_[slot].resize(static_cast<size_t>(text.fed - text.window));
        taken.going = taken.going && text.begun && text.ending == Ending::kNone;
        text.begun = true;
    }
    return taken;
}

// Draws one token; negative where the text ends without one.
int Writer::take(Text& text, const float* logits) {
    const int token = text.sampler.pick(logits);
    if (token == Sampler::kNotANumber || token == text.sampler.boundary()) {
        text.ending = token == Sampler::kNotANumber ? Ending::kNotANumber : Ending::kBoundary;
        return -1;
    }
    text.ids.push_back(token);
    text.fresh.push_back(token);
    if (text.with_logs) tell_logs(text, logits, token);
    if (static_cast<int64_t>(text.ids.size()) == text.most) text.ending = Ending::kLength;
    return token;
}

void Writer::write(double seconds, int64_t most) {
    const double start = seconds_now();
    for (std::optional<Text>& text : texts_) {
        if (!text) continue;
        text->fresh.clear();
        text->logs.clear();
        text->likely.clear();
    }
    do {
        int64_t room = most;
        for (const std::optional<Text>& text : texts_) {
            if (text) room = std::min(room, most - static_cast<int64_t>(text->fresh.size()));
        }
        if (room == 0 || !advance(room)) return;
    } while (seconds_now() - start < seconds);
}

}  // namespace treadle
