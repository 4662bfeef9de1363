#pragma once

#include <checkpoint/export.h>
#include <checkpoint/manifest.h>
#include <checkpoint/map_location.h>
#include <checkpoint/transfer.h>
#include <checkpoint/verify.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace checkpoint {

/// Whether everything has to fit.
enum class Strict {
  kNo,   ///< Load what fits; the report says what did not.
  kYes,  ///< Throw if anything is missing, unexpected or different; then nothing has changed.
};

/// How a restore is to be done. Chained, as LibTorch's own options are.
///
/// Keys are dotted and begin with the item's name: "model.encoder.0.weight". Globs are those of
/// fnmatch(3): `*` stands for any characters, dots too, `?` for one, `[0-3]` for one of these,
/// `[!0-3]` and `[^0-3]` for any other, `[[:digit:]]` for one of a kind, and a backslash takes the
/// next character as it is; `{` has no meaning of its own.
///
/// A restore throws Error(invalid_argument), which names the nearest keys, before anything changes:
/// for a name in items that the State does not have; for a glob that meets no key, neither a live
/// one nor one of the file; for a rename that meets no key of the file; and if items, include and
/// exclude together leave nothing.
class TORCH_CHECKPOINT_API RestoreOptions {
 public:
  /// From the key in the file to the key of the live tensor.
  using Rename = std::function<std::string(const std::string&)>;

  /// Where the tensors go. Default: where the live tensors are.
  RestoreOptions& map_location(MapLocation value) { return set(map_location_, std::move(value)); }
  /// Default: kYes.
  RestoreOptions& strict(Strict value) { return set(strict_, value); }
  /// Restore these items of the State alone. Default: all.
  RestoreOptions& items(std::vector<std::string> names) { return set(items_, std::move(names)); }
  /// Restore only what matches one of these globs: tensors of modules by their keys, attributes of
  /// TorchScript's too; other items, and submodules with a `load` of their own, whole, by their
  /// names. The rest is left as it is, and is no fault. Keys are those after `rename`. Default:
  /// all.
  RestoreOptions& include(std::vector<std::string> globs) {
    return set(include_, std::move(globs));
  }
  /// Leave out what matches one of these globs; stronger than include.
  RestoreOptions& exclude(std::vector<std::string> globs) {
    return set(exclude_, std::move(globs));
  }
  /// Renames what the file holds before it is compared with what is live: keys of modules' tensors,
  /// from one item into another too; the parameters' names by which an optimizer's state is
  /// matched; modules' names where restore_modes brings their flags back; and items of any kind,
  /// where the State has one of the new name. An item's keys follow its name, and its name follows
  /// its keys. What optimizers and objects hold keeps the names inside. The function is given names
  /// of each of these kinds, those of items and modules also with a dot behind, and returns what it
  /// does not mean to change as it is. It must change something, unless the file has all that is
  /// live already. Replaces earlier renames.
  RestoreOptions& rename(Rename function);
  /// The same for what begins with `from`: `rename("model.module.", "model.")` takes a wrapper
  /// away, `rename("model.", "net.")` is for an item with another name. Calls add up: the first
  /// prefix that fits is replaced. Each must meet something, unless the file has all the live keys
  /// that begin with `to` already: a training that is started again renames what it has saved
  /// since.
  RestoreOptions& rename(std::string from, std::string to);
  /// Whether a tensor of another dtype is converted, as `to(dtype)` would, instead of refused. It
  /// may be rounded; one with a number that the live dtype cannot hold (1e300 as a float, 300 as an
  /// int8) is refused all the same. Default: false.
  RestoreOptions& convert_dtype(bool value) { return set(convert_dtype_, value); }

  /// Whether each submodule's training flag and each parameter's requires_grad come back too.
  /// Default: false, the live ones stay.
  RestoreOptions& restore_modes(bool value) { return set(restore_modes_, value); }

  /// When digests are checked. Default: kBefore, so that damage never reaches the live state.
  RestoreOptions& verify(Verify value) { return set(verify_, value); }
  /// Is told how far verifying and reading have come.
  RestoreOptions& on_transfer(OnTransfer function) {
    return set(on_transfer_, std::move(function));
  }

  const MapLocation& map_location() const { return map_location_; }
  Strict strict() const { return strict_; }
  const std::vector<std::string>& items() const { return items_; }
  const std::vector<std::string>& include() const { return include_; }
  const std::vector<std::string>& exclude() const { return exclude_; }
  const Rename& rename() const { return rename_; }  ///< All of them as one function.
  /// The prefixes and what they become, in the order of the calls.
  const std::vector<std::pair<std::string, std::string>>& renamed_prefixes() const {
    return renamed_prefixes_;
  }
  /// The function that was given, which comes before the prefixes; or empty.
  const Rename& renaming_function() const { return renaming_function_; }
  bool convert_dtype() const { return convert_dtype_; }
  bool restore_modes() const { return restore_modes_; }
  Verify verify() const { return verify_; }
  const OnTransfer& on_transfer() const { return on_transfer_; }

 private:
  template <typename T>
  RestoreOptions& set(T& field, T value) {
    field = std::move(value);
    return *this;
  }

  MapLocation map_location_;
  Strict strict_ = Strict::kYes;
  std::vector<std::string> items_;
  std::vector<std::string> include_;
  std::vector<std::string> exclude_;
  Rename rename_;
  Rename renaming_function_;
  std::vector<std::pair<std::string, std::string>> renamed_prefixes_;
  bool convert_dtype_ = false;
  bool restore_modes_ = false;
  Verify verify_ = Verify::kBefore;
  OnTransfer on_transfer_;
};

/// What a restore found that does not fit. Keys are dotted: "model.conv.weight".
struct TORCH_CHECKPOINT_API RestoreReport {
  std::vector<std::string> missing;     ///< Live, but not in the file.
  std::vector<std::string> unexpected;  ///< In the file, but not live.
  std::vector<std::string> mismatched;  ///< In both, with another dtype, shape or kind; says which.
  std::vector<std::string> ignored_items;  ///< Items of the file that the State does not name.
  /// All items of the file, if one is missing that the State names; else empty.
  std::vector<std::string> file_items;

  /// Whether every live entry has its counterpart and none is left over; ignored items are no
  /// fault.
  bool fits() const { return missing.empty() && unexpected.empty() && mismatched.empty(); }
  /// The report as people read it, one entry a line, with the nearest name of the file beside each
  /// that is missing, no name beside two, and the items that the file has where one is missing;
  /// empty if everything fits.
  std::string to_string() const;
};

/// A damaged checkpoint that a restore skipped.
struct SkippedCheckpoint {
  std::string name;    ///< Its name now: NAME.corrupt if it was set aside.
  std::string reason;  ///< What is wrong with it.
};

/// The result of a restore.
struct Restored {
  Manifest manifest;                       ///< Of the checkpoint that was restored.
  RestoreReport report;                    ///< What did not match (empty with Strict::kYes).
  std::vector<SkippedCheckpoint> skipped;  ///< Damaged ones, newer or better, in the order tried.

  const std::string& name() const { return manifest.name; }
  const Progress& progress() const { return manifest.progress; }
};

}  // namespace checkpoint
