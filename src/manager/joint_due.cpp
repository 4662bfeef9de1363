#include "manager/joint_due.h"

#include "base/json.h"

#include <string>
#include <utility>

namespace checkpoint::manager {
namespace {

constexpr char kSignal[] = "signal";
constexpr char kStop[] = "stop";
constexpr char kSave[] = "save";

std::string key_of(int64_t decision) { return "due/" + std::to_string(decision); }

std::string encode_decision(const JointDecision& decision) {
  return base::dump_json(
      {{"call", decision.call}, {"asked", decision.asked}, {"stop", decision.stop}}, -1);
}

JointDecision decode_decision(const std::string& text) {
  const std::string source = "the decision of rank 0";
  const nlohmann::json document = base::parse_json(text, source);
  const base::JsonFields fields(document, source);
  return {fields.integer("call"), fields.boolean("asked"), fields.boolean("stop")};
}

}  // namespace

std::optional<JointDecision> JointDue::ask(const Wishes& wishes) {
  group_.join();
  ++call_;
  std::optional<JointDecision> now;
  if (group_.leads()) {
    if (pending_ && pending_->call <= call_) now = std::exchange(pending_, std::nullopt);
    if (!now && !pending_) decide(wishes);
  } else {
    tell_signal(wishes);
    if (!pending_) {
      const std::optional<std::string> text = group_.try_get(key_of(decisions_));
      if (text) pending_ = decode_decision(*text);
    }
    if (pending_ && pending_->call <= call_) {
      now = std::exchange(pending_, std::nullopt);
      ++decisions_;
    }
  }
  if (now && now->asked) has_told_ = false;
  return now;
}

void JointDue::tell_signal(const Wishes& wishes) {
  if (has_told_ || !(wishes.stop || wishes.save)) return;
  group_.put(kSignal, wishes.stop ? kStop : kSave);
  has_told_ = true;
}

void JointDue::decide(const Wishes& wishes) {
  JointDecision decision{call_ + 1, wishes.stop || wishes.save, wishes.stop};
  if (const std::optional<std::string> signal = group_.try_get(kSignal)) {
    decision.asked = true;
    decision.stop = decision.stop || *signal == kStop;
    group_.erase(kSignal);
  }
  if (!wishes.own && !decision.asked) return;
  // All ranks have seen the one before: they have saved together since.
  if (decisions_ > 0) group_.erase(key_of(decisions_ - 1));
  group_.put(key_of(decisions_++), encode_decision(decision));
  pending_ = decision;
}

}  // namespace checkpoint::manager
