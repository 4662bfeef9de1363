#pragma once

#include "group/group.h"

#include <cstdint>
#include <functional>
#include <optional>

namespace checkpoint::manager {

/// What all ranks do at one call of save_if_due.
struct JointDecision {
  int64_t call = 0;    ///< At which call: all ranks count theirs.
  bool asked = false;  ///< A signal asked for it, on any rank.
  bool stop = false;   ///< A signal asked training to stop.
};

/// Lets all ranks save after the same step where only rank 0 can tell whether a save is due: by
/// time, by a function of the user, by the cost of saves, by a signal. Rank 0 decides in one call
/// of save_if_due that all save in the next one. Training exchanges something between the ranks in
/// each step (gradients), so no rank gets to its next call before rank 0 has told. Costs one
/// question to the coordinator in each call. Not thread-safe.
class JointDue {
 public:
  explicit JointDue(group::Group& group) : group_(group) {}

  /// What this rank knows at a call.
  struct Wishes {
    bool own = false;   ///< On rank 0: a save is due by what only rank 0 decides.
    bool stop = false;  ///< A signal to stop has come here.
    bool save = false;  ///< A signal to save has come here.
  };

  /// Call this once in each call of save_if_due. Returns the decision for this call, if any.
  std::optional<JointDecision> ask(const Wishes& wishes);

 private:
  void tell_signal(const Wishes& wishes);
  void decide(const Wishes& wishes);

  group::Group& group_;
  int64_t call_ = 0;
  int64_t decisions_ = 0;
  bool has_told_ = false;  // Of a signal, since the last decision.
  std::optional<JointDecision> pending_;
};

}  // namespace checkpoint::manager
