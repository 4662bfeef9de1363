// How the ranks find each other, and talk.
//
// The first meeting joins them. It must not take what a dead run has left in the coordinator for an
// answer of this one:
//
//   1. each rank but 0 puts a random number: hello
//   2. rank 0 waits for all of them, and puts a random id of this run with all those numbers:
//      welcome. If a number changes later, the first one was of a dead run: it puts welcome again
//   3. each rank waits for a welcome with its own number, takes the run's id, and puts: joined
//   4. rank 0 waits for all of these. Only a rank of this run knows the id
//
// After that, every key begins with the run's id and the meeting's number. Each wait asks again and
// again, with pauses that grow: a wait inside a c10d store would block its other calls.

#include "group/group.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <cmath>
#include <thread>

#include <unistd.h>

namespace checkpoint::group {
namespace {

constexpr Group::Seconds kFirstPause(0.0002);
constexpr Group::Seconds kLongestPause(0.01);
constexpr Group::Seconds kPauseOfEachRank(0.0001);  // So that many ranks do not overrun one store.
constexpr Group::Seconds kUntilSeen(60);            // NFS may show a new file this late.
constexpr Group::Seconds kFarewell(10);
constexpr char kFailed[] = "failed";
constexpr char kDone[] = "done";

template <typename Call>
auto ask(const Call& call) {
  try {
    return call();
  } catch (const std::exception& error) {
    throw LostTouch(ErrorCode::kIo, std::string("the coordinator failed: ") + error.what(), "", 0,
                    "The other ranks cannot be reached.");
  }
}

std::string list_of(const std::vector<int>& ranks) {
  constexpr size_t kMost = 8;
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  for (size_t i = 0; i < std::min(ranks.size(), kMost); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(ranks[i]);
  }
  if (ranks.size() > kMost) text += " and " + std::to_string(ranks.size() - kMost) + " more";
  return text;
}

std::string of_rank(const std::string& topic, int rank) {
  return topic + '/' + std::to_string(rank);
}

// The numbers that a welcome holds, and the run's id.
struct Welcome {
  std::string run;
  std::vector<std::string> numbers;
};

std::string encode_welcome(const Welcome& welcome) {
  return base::dump_json({{"run", welcome.run}, {"numbers", welcome.numbers}}, -1);
}

Welcome decode_welcome(const std::string& text) {
  const std::string source = "the welcome of rank 0";
  const nlohmann::json document = base::parse_json(text, source);
  const base::JsonFields fields(document, source);
  Welcome welcome{fields.string("run"), {}};
  for (const nlohmann::json& number : fields.array("numbers")) {
    welcome.numbers.push_back(number.get<std::string>());
  }
  return welcome;
}

}  // namespace

Group::Group(std::shared_ptr<Coordinator> coordinator, Seconds timeout)
    : coordinator_(std::move(coordinator)),
      timeout_(timeout),
      rank_(coordinator_ ? coordinator_->rank() : 0),
      size_(coordinator_ ? coordinator_->size() : 1),
      manager_(coordinator_ ? coordinator_->count_manager() : 0),
      process_(static_cast<int>(::getpid())),
      is_gone_(static_cast<size_t>(size_)) {}

Group::~Group() {
  if (!leads() || is_alone() || meetings_ == 0 || !is_own_process()) return;
  try {
    wait_until_heard();
  } catch (const std::exception&) {
    // The coordinator has failed: the others cannot hear anything any more.
  }
}

bool Group::is_own_process() const { return process_ == static_cast<int>(::getpid()); }

void Group::tell_done(int64_t meeting) noexcept {
  if (!is_own_process()) return;
  try {
    put(of_rank(kDone, rank_), std::to_string(meeting));
  } catch (const std::exception&) {
    // Rank 0 has ended, or waits for a while.
  }
}

bool Group::is_done(int rank) {
  return is_gone_[static_cast<size_t>(rank)] ||
         try_get(of_rank(kDone, rank)) == std::to_string(meetings_ - 1);
}

void Group::wait_until_heard() {
  int next = 1;
  const bool all = wait_until(
      [&] {
        while (next < size_ && is_done(next)) ++next;
        return next == size_;
      },
      std::min(timeout_, kFarewell));
  if (!all) return;
  for (int rank = 1; rank < size_; ++rank) erase(of_rank(kDone, rank));
  for (const auto& one : old_keys_) erase(one.second);
}

void Group::join() {
  if (is_alone() || !run_.empty()) return;
  leads() ? join_as_leader() : join_as_follower();
}

std::shared_ptr<Meeting> Group::meet(std::string what) {
  join();
  return std::make_shared<Meeting>(*this, std::move(what), meetings_++);
}

void Group::put(const std::string& key, const std::string& value) {
  ask([&] { coordinator_->put(common_key(run_ + '/' + key), value); });
}

std::optional<std::string> Group::try_get(const std::string& key) {
  return ask([&] { return coordinator_->try_get(common_key(run_ + '/' + key)); });
}

void Group::erase(const std::string& key) {
  ask([&] { coordinator_->erase(common_key(run_ + '/' + key)); });
}

std::string Group::common_key(const std::string& key) const {
  return "torch-checkpoint/" + std::to_string(manager_) + '/' + key;
}

bool Group::is_seen(const std::function<bool()>& look) const {
  return wait_until(look, std::min(timeout_, kUntilSeen));
}

bool Group::wait_until(const std::function<bool()>& done, Seconds longest) const {
  const Seconds until = base::monotonic_now() + longest;
  const Seconds longest_pause = std::max(kLongestPause, kPauseOfEachRank * size_);
  for (Seconds pause = kFirstPause; !done(); pause = std::min(pause * 2, longest_pause)) {
    const Seconds left = until - base::monotonic_now();
    if (left <= Seconds::zero()) return false;
    std::this_thread::sleep_for(std::min(pause, left));
  }
  return true;
}

std::string Group::after_timeout() const {
  const double rounded = std::round(timeout_.count() * 10) / 10;
  std::string text = std::to_string(rounded);
  text.resize(text.find('.') + 2);
  if (text.back() == '0') text.resize(text.size() - 2);
  return " after " + text + " s";
}

std::vector<std::string> Group::wait_for_hellos() {
  std::vector<std::string> numbers(static_cast<size_t>(size_));
  std::vector<int> absent;
  const bool are_there = wait_until([&] {
    absent.clear();
    for (int rank = 1; rank < size_; ++rank) {
      std::string& number = numbers[static_cast<size_t>(rank)];
      if (!number.empty()) continue;
      number = ask([&] {
                 return coordinator_->try_get(common_key(of_rank("hello", rank)));
               }).value_or("");
      if (number.empty()) absent.push_back(rank);
    }
    return absent.empty();
  });
  if (are_there) return numbers;
  throw Error(ErrorCode::kTimeout,
              list_of(absent) + " of " + std::to_string(size_) + " did not come" + after_timeout(),
              "", 0, "Check that all processes run, and that they use the same coordinator.");
}

void Group::join_as_leader() {
  Welcome welcome{base::random_id(), wait_for_hellos()};
  ask([&] { coordinator_->put(common_key("welcome"), encode_welcome(welcome)); });
  std::vector<int> absent;
  std::vector<bool> joined(static_cast<size_t>(size_));
  const bool have_joined = wait_until([&] {
    absent.clear();
    bool has_changed = false;
    for (int rank = 1; rank < size_; ++rank) {
      const auto place = static_cast<size_t>(rank);
      if (joined[place]) continue;
      joined[place] =
          ask([&] {
            return coordinator_->try_get(common_key(welcome.run + '/' + of_rank("joined", rank)));
          }).has_value();
      if (joined[place]) continue;
      absent.push_back(rank);
      const auto number =
          ask([&] { return coordinator_->try_get(common_key(of_rank("hello", rank))); });
      if (!number || *number == welcome.numbers[place]) continue;
      welcome.numbers[place] = *number;
      has_changed = true;
    }
    if (has_changed) {
      ask([&] { coordinator_->put(common_key("welcome"), encode_welcome(welcome)); });
    }
    return absent.empty();
  });
  if (!have_joined) {
    throw Error(
        ErrorCode::kTimeout,
        list_of(absent) + " of " + std::to_string(size_) + " did not come" + after_timeout(), "", 0,
        "Check that all processes run, and that they use the same coordinator.");
  }
  for (int rank = 1; rank < size_; ++rank) {
    ask([&] { coordinator_->erase(common_key(of_rank("hello", rank))); });
    ask([&] { coordinator_->erase(common_key(welcome.run + '/' + of_rank("joined", rank))); });
  }
  ask([&] { coordinator_->erase(common_key("welcome")); });
  run_ = welcome.run;
}

void Group::join_as_follower() {
  const std::string number = base::random_id();
  ask([&] { coordinator_->put(common_key(of_rank("hello", rank_)), number); });
  std::string run;
  const bool is_welcome = wait_until([&] {
    const auto text = ask([&] { return coordinator_->try_get(common_key("welcome")); });
    if (!text) return false;
    const Welcome welcome = decode_welcome(*text);
    const auto place = static_cast<size_t>(rank_);
    if (place >= welcome.numbers.size() || welcome.numbers[place] != number) return false;
    run = welcome.run;
    return true;
  });
  if (!is_welcome) {
    throw Error(ErrorCode::kTimeout,
                "rank 0 of " + std::to_string(size_) + " did not come" + after_timeout(), "", 0,
                "Check that all processes run, and that they use the same coordinator.");
  }
  ask([&] { coordinator_->put(common_key(run + '/' + of_rank("joined", rank_)), ""); });
  run_ = run;
}

Meeting::Meeting(Group& group, std::string what, int64_t number)
    : group_(group), what_(std::move(what)), number_(number) {
  if (group_.leads()) group_.old_keys_.emplace_back(number_, key(kFailed));
}

Meeting::~Meeting() {
  if (!group_.leads()) group_.tell_done(number_);
}

std::string Meeting::key(const std::string& topic) const {
  return std::to_string(number_) + '/' + topic;
}

void Meeting::announce(const std::string& topic, const std::string& text) {
  if (group_.is_alone()) return;
  group_.old_keys_.emplace_back(number_, key(topic));
  group_.put(key(topic), text);
}

std::string Meeting::hear(const std::string& topic) {
  std::optional<std::string> text;
  const bool is_told = group_.wait_until([&] {
    text = group_.try_get(key(topic));
    if (!text) throw_if_failed();
    return text.has_value();
  });
  if (!is_told) throw_absent({0});
  return *text;
}

std::vector<std::string> Meeting::gather(const std::string& topic, const std::string& own) {
  if (!group_.leads()) {
    group_.put(key(of_rank(topic, group_.rank())), own);
    return {};
  }
  std::vector<std::optional<std::string>> texts(static_cast<size_t>(group_.size()));
  texts[0] = own;
  std::vector<int> absent;
  const bool are_told = group_.wait_until([&] {
    absent.clear();
    for (int rank = 1; rank < group_.size(); ++rank) {
      std::optional<std::string>& text = texts[static_cast<size_t>(rank)];
      if (text) continue;
      // One that is missing is enough to go on waiting. All others are asked next time.
      if (absent.empty()) text = group_.try_get(key(of_rank(topic, rank)));
      if (text) continue;
      if (absent.empty()) throw_if_failed();
      absent.push_back(rank);
    }
    return absent.empty();
  });
  if (!are_told) {
    const auto is_there = [&](int rank) {
      return group_.try_get(key(of_rank(topic, rank))).has_value();
    };
    absent.erase(std::remove_if(absent.begin(), absent.end(), is_there), absent.end());
    throw_absent(absent.empty() ? std::vector<int>{group_.rank()} : absent);
  }
  std::vector<std::string> result;
  for (int rank = 0; rank < group_.size(); ++rank) {
    if (rank > 0) group_.erase(key(of_rank(topic, rank)));
    result.push_back(std::move(*texts[static_cast<size_t>(rank)]));
  }
  erase_old_keys();
  return result;
}

std::optional<Failure> Meeting::agree(const std::string& topic, const std::optional<Failure>& own) {
  if (group_.is_alone()) return own;
  const std::string verdict_topic = topic + "-verdict";
  std::string verdict;
  const std::vector<std::string> all = gather(topic, own ? encode_failure(*own) : "");
  if (group_.leads()) {
    const auto failed =
        std::find_if(all.begin(), all.end(), [](const std::string& one) { return !one.empty(); });
    if (failed != all.end()) verdict = *failed;
    announce(verdict_topic, verdict);
  } else {
    verdict = hear(verdict_topic);
  }
  if (verdict.empty()) return std::nullopt;
  return decode_failure(verdict);
}

void Meeting::fail(const std::exception& error) {
  if (group_.is_alone() || has_left_) return;
  std::optional<Failure> first;
  try {
    first = first_failure();
    if (!first) group_.put(key(kFailed), encode_failure(failure_of(group_.rank(), error)));
  } catch (const std::exception&) {
    // The others cannot be told: they find out when their time is up.
  }
  if (!first || first->rank == group_.rank()) return;
  // It waited in vain, perhaps for this rank, which knows more.
  if (first->code == ErrorCode::kTimeout) return;
  base::log_debug("after the failure of rank " + std::to_string(first->rank) +
                  ", this rank has failed, too: " + error.what());
  throw error_of(*first);
}

void Meeting::throw_if_failed() {
  if (group_.is_alone()) return;
  if (const auto first = first_failure()) throw error_of(*first);
}

std::optional<Failure> Meeting::first_failure() {
  const std::optional<std::string> text = group_.try_get(key(kFailed));
  return text ? std::make_optional(decode_failure(*text)) : std::nullopt;
}

void Meeting::throw_absent(const std::vector<int>& ranks) {
  for (const int rank : ranks) group_.is_gone_[static_cast<size_t>(rank)] = true;
  throw LostTouch(
      ErrorCode::kTimeout,
      list_of(ranks) + " of " + std::to_string(group_.size()) +
          (ranks.size() == 1 ? " has" : " have") + " not reached " + what_ + group_.after_timeout(),
      "", 0, "Check that this process still runs there and makes the same calls as the others.");
}

void Meeting::erase_old_keys() {
  auto& keys = group_.old_keys_;
  const auto is_old = [&](const auto& one) { return one.first < number_; };
  for (const auto& one : keys) {
    if (is_old(one)) group_.erase(one.second);
  }
  keys.erase(std::remove_if(keys.begin(), keys.end(), is_old), keys.end());
}

}  // namespace checkpoint::group
