#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <string>

namespace checkpoint {

/// How far training has come. An aggregate, so that a training loop can write
/// `{epoch, step, loss, {{"val_accuracy", accuracy}}}`.
struct Progress {
  /// The current epoch, counted from 0.
  int64_t epoch = 0;
  /// Optimizer steps done since training began, over all epochs.
  int64_t step = 0;
  /// The training loss. NaN: not known.
  double loss = std::numeric_limits<double>::quiet_NaN();
  /// Further metrics by name, for checkpoint names and `keep_best`. NaN and infinity are allowed.
  std::map<std::string, double> metrics = {};
  /// Whether `epoch` is finished. False for a save in the middle of an epoch.
  bool epoch_done = true;

  /// Returns the epoch that a resumed loop starts with.
  int64_t next_epoch() const { return epoch_done ? epoch + 1 : epoch; }
};

}  // namespace checkpoint
