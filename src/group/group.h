#pragma once

#include "group/failure.h"

#include <checkpoint/coordinator.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace checkpoint::group {

class Meeting;

/// The ranks that save and restore together, as one of them sees them. Without a coordinator, or
/// with one of size 1, it is a world of one: nothing is said and nothing waits.
///
/// All keys begin with a random id of this run, so that a rank cannot read what a dead run has left
/// in the coordinator. Not thread-safe, but for put, try_get and erase.
class Group {
 public:
  using Seconds = std::chrono::duration<double>;

  /// `coordinator` may be null. No wait takes longer than `timeout`.
  Group(std::shared_ptr<Coordinator> coordinator, Seconds timeout);
  /// Rank 0 waits until the others have heard what it has said last: its process may serve the
  /// coordinator, and may end after this. Waits no longer than 10 s, and not for ranks that are
  /// known to be gone.
  ~Group();
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  /// Returns whether this is rank 0, which owns the directory.
  bool leads() const { return rank_ == 0; }
  bool is_alone() const { return size_ == 1; }

  /// Begins the next thing that all ranks do together. `what` says what, for errors: "the save of
  /// epoch 5". The first call waits until all ranks are there. Throws Error: timeout, naming the
  /// ranks that did not come; io if the coordinator fails.
  std::shared_ptr<Meeting> meet(std::string what);
  /// Waits until all ranks are there, as the first `meet` does. Throws what that throws.
  void join();

  /// Does the same as the coordinator, for a key of this run that belongs to no meeting. There
  /// must have been a meeting. Throws Error(io) if the coordinator fails.
  void put(const std::string& key, const std::string& value);
  std::optional<std::string> try_get(const std::string& key);
  void erase(const std::string& key);

  /// Calls `look` until it returns true, as long as a network file system may need to show what
  /// another rank has written, and no longer than the timeout. Returns whether it did.
  bool is_seen(const std::function<bool()>& look) const;

 private:
  friend class Meeting;

  void join_as_leader();
  void join_as_follower();
  std::vector<std::string> wait_for_hellos();
  std::string common_key(const std::string& key) const;
  // Waits until `done` returns true. Returns false if it takes longer than the timeout.
  bool wait_until(const std::function<bool()>& done, Seconds longest) const;
  bool wait_until(const std::function<bool()>& done) const { return wait_until(done, timeout_); }
  std::string after_timeout() const;
  // What another rank tells rank 0 when it needs nothing more of a meeting.
  void tell_done(int64_t meeting) noexcept;
  bool is_done(int rank);
  void wait_until_heard();
  bool is_own_process() const;

  const std::shared_ptr<Coordinator> coordinator_;
  const Seconds timeout_;
  const int rank_;
  const int size_;
  const int manager_;
  std::string run_;  // Empty until all ranks have met.
  int64_t meetings_ = 0;
  const int process_;          // A forked child must not use its parent's coordinator.
  std::vector<bool> is_gone_;  // The ranks that did not come, as rank 0 knows.
  // What the leader erases when all ranks have reached a later meeting, and the meeting's number.
  std::vector<std::pair<int64_t, std::string>> old_keys_;
};

/// One thing that all ranks do together: a save or a restore. Each rank makes the same calls of
/// announce and hear, of gather and agree, in the same order. A call of `fail` on one rank ends it
/// for all: their waits throw that failure, with its code and its rank.
///
/// A wait that takes too long throws LostTouch(timeout) and names the ranks that did not come. Used
/// by one thread at a time. The Group must outlive it.
class Meeting {
 public:
  Meeting(Group& group, std::string what, int64_t number);
  ~Meeting();
  Meeting(const Meeting&) = delete;
  Meeting& operator=(const Meeting&) = delete;

  const Group& group() const { return group_; }
  /// Says more exactly what this is: "the save of 'epoch0005'".
  void call(std::string what) { what_ = std::move(what); }

  /// Rank 0 tells all the others.
  void announce(const std::string& topic, const std::string& text);
  /// Another rank waits for what rank 0 announces.
  std::string hear(const std::string& topic);
  /// Each rank tells rank 0, which waits for the texts of all and returns them in order of rank.
  /// The other ranks do not wait, and get none.
  std::vector<std::string> gather(const std::string& topic, const std::string& own);
  /// Each rank says whether it has failed, and waits for the others. Returns the failure of the
  /// lowest rank that has failed, if any, on all ranks.
  std::optional<Failure> agree(const std::string& topic, const std::optional<Failure>& own);
  /// Throws the failure of another rank, if one has told of it.
  void throw_if_failed();
  /// Tells all ranks that this one has failed. If another rank has told of a failure before, throws
  /// that one, unless it is a timeout: all ranks throw the same, and a first failure may have
  /// caused this one.
  void fail(const std::exception& error);
  /// Does this rank's part, and returns what that returns. If it throws, calls `fail`, and throws
  /// on.
  template <typename Work>
  auto run(const Work& work) {
    try {
      return work();
    } catch (const std::exception& error) {
      fail(error);
      throw;
    }
  }
  /// From now on only rank 0 decides how this ends: `fail` on this rank has no effect any more.
  void leave_it_to_rank_0() { has_left_ = true; }

 private:
  std::string key(const std::string& topic) const;
  std::optional<Failure> first_failure();
  [[noreturn]] void throw_absent(const std::vector<int>& ranks);
  void erase_old_keys();

  Group& group_;
  std::string what_;
  const int64_t number_;
  bool has_left_ = false;
};

}  // namespace checkpoint::group
