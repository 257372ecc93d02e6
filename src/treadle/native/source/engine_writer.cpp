#include "engine_writer.h"

#include <algorithm>
#include <chrono>

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

// One step of all texts; false when there is nothing to write any more or a text has ended.
bool Writer::advance() {
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
    share_rows();
    for (const auto& [rows, slot] : unread_) gather(slot, *texts_[static_cast<size_t>(slot)], rows);
    const auto vocabulary = static_cast<size_t>(engine_.shape().vocabulary);
    logits_.resize(wanted_.size() * vocabulary);
    step({tokens_.data(), slots_.data(), positions_.data(), static_cast<int>(tokens_.size()), wanted_.data(),
          static_cast<int>(wanted_.size()), logits_.data()});
    bool going = true;
    for (size_t i = 0; i < wanted_.size(); i++) {
        Text& text = *texts_[static_cast<size_t>(slots_[static_cast<size_t>(wanted_[i])])];
        const int token = text.sampler.pick(logits_.data() + i * vocabulary);
        if (token == Sampler::kNotANumber) text.ending = Ending::kNotANumber;
        else if (token == text.sampler.boundary()) text.ending = Ending::kBoundary;
        else {
            text.ids.push_back(token);
            text.fresh.push_back(token);
            if (text.with_logs) tell_logs(text, logits_.data() + i * vocabulary, token);
            if (static_cast<int64_t>(text.ids.size()) == text.most) text.ending = Ending::kLength;
        }
        going = going && text.ending == Ending::kNone;
    }
    return going;
}

void Writer::write(double seconds, int64_t most) {
    const auto start = std::chrono::steady_clock::now();
    for (std::optional<Text>& text : texts_) {
        if (!text) continue;
        text->fresh.clear();
        text->logs.clear();
        text->likely.clear();
    }
    for (int64_t written = 0; written < most; written++) {
        if (!advance()) return;
        if (std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() >= seconds) return;
    }
}

}  // namespace treadle
