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

/// Whether everything must match.
enum class Strict {
  kNo,   ///< Load what matches. The report lists the rest.
  kYes,  ///< Throw if anything is missing, unexpected or different. Then nothing has changed.
};

/// The options of a restore. Calls can be chained, as with LibTorch's own options.
///
/// Keys are dotted and begin with the item's name: "model.encoder.0.weight". Globs are those of
/// fnmatch(3): `*` matches any characters, also dots; `?` matches one; `[0-3]` one of these;
/// `[!0-3]` and `[^0-3]` any other; `[[:digit:]]` one of a class. A backslash takes the next
/// character literally. `{` is an ordinary character.
///
/// A restore throws Error(invalid_argument) before it changes anything, and names the nearest keys,
///
/// - if `items` has a name that is not in the State;
/// - if a glob matches no live key and no saved key;
/// - if a rename matches no saved key;
/// - if `items`, `include` and `exclude` together select nothing.
class TORCH_CHECKPOINT_API RestoreOptions {
 public:
  /// Returns the live key for a saved key.
  using Rename = std::function<std::string(const std::string&)>;

  /// Where the tensors go. Default: where the live tensors are.
  RestoreOptions& map_location(MapLocation value) { return set(map_location_, std::move(value)); }
  /// Whether everything must match. Default: kYes.
  RestoreOptions& strict(Strict value) { return set(strict_, value); }
  /// Restores only these items of the State. Default: all.
  RestoreOptions& items(std::vector<std::string> names) { return set(items_, std::move(names)); }
  /// Restores only what matches one of these globs. Tensors of modules and attributes of
  /// TorchScript are matched by their keys. Other items, and submodules with a `load` of their own,
  /// are matched as a whole by their names. Keys are those after `rename`. Everything else keeps
  /// its value and is not reported. Default: all.
  RestoreOptions& include(std::vector<std::string> globs) {
    return set(include_, std::move(globs));
  }
  /// Skips what matches one of these globs, even if `include` matches it too.
  RestoreOptions& exclude(std::vector<std::string> globs) {
    return set(exclude_, std::move(globs));
  }
  /// Renames saved keys before they are compared with live ones. This applies to
  ///
  /// - the keys of modules' tensors, also from one item into another;
  /// - the parameter names by which an optimizer's state is matched;
  /// - the module names by which restore_modes works;
  /// - the names of items, if the State has an item of the new name. Keys that begin with an item's
  ///   name follow it.
  ///
  /// Names inside the state of optimizers and objects are not changed.
  ///
  /// The function gets names of each of these kinds. Names of items and modules also come with a
  /// dot at the end. It must return unchanged each name that it does not want to change. It must
  /// change at least one, unless all live keys are saved already. Replaces earlier renames.
  RestoreOptions& rename(Rename function);
  /// Replaces the prefix `from` by `to`: `rename("model.module.", "model.")` removes a wrapper,
  /// `rename("model.", "net.")` is for an item with another name. Calls add up: the first prefix
  /// that matches is replaced. Each must match a saved key, unless all live keys that begin with
  /// `to` are saved already. So a training that is started again can read what it has saved under
  /// the new names.
  RestoreOptions& rename(std::string from, std::string to);
  /// Whether a tensor of another dtype is converted, as `to(dtype)` does, instead of refused. Its
  /// numbers may be rounded. A number that the live dtype cannot hold (1e300 as a float, 300 as an
  /// int8) is still refused. Default: false.
  RestoreOptions& convert_dtype(bool value) { return set(convert_dtype_, value); }

  /// Whether the training flag of each submodule and requires_grad of each parameter are restored
  /// too. Default: false, the live ones stay.
  RestoreOptions& restore_modes(bool value) { return set(restore_modes_, value); }

  /// When digests are checked. Default: kBefore, so that damage never reaches the live state.
  RestoreOptions& verify(Verify value) { return set(verify_, value); }
  /// Whether Verify::kBefore may keep in memory what it reads, until the restore ends. A file that
  /// is not in the page cache is then read from the disk once instead of twice. Takes up to as much
  /// memory as the checkpoint, and at most a quarter of what is available. Stops to keep where it
  /// takes longer to get memory than to read again. Default: false.
  RestoreOptions& read_once(bool value) { return set(read_once_, value); }
  /// A function that is called as bytes are verified and read.
  RestoreOptions& on_transfer(OnTransfer function) {
    return set(on_transfer_, std::move(function));
  }

  /// @name The values set above
  /// @{

  /// Returns the value set above.
  const MapLocation& map_location() const { return map_location_; }
  Strict strict() const { return strict_; }
  const std::vector<std::string>& items() const { return items_; }
  const std::vector<std::string>& include() const { return include_; }
  const std::vector<std::string>& exclude() const { return exclude_; }
  /// Returns all renames as one function.
  const Rename& rename() const { return rename_; }
  /// Returns the prefixes and their replacements, in the order of the calls.
  const std::vector<std::pair<std::string, std::string>>& renamed_prefixes() const {
    return renamed_prefixes_;
  }
  /// Returns the function that was given, which is called before the prefixes are replaced. May be
  /// empty.
  const Rename& renaming_function() const { return renaming_function_; }
  /// Returns the value set above.
  bool convert_dtype() const { return convert_dtype_; }
  bool restore_modes() const { return restore_modes_; }
  Verify verify() const { return verify_; }
  bool read_once() const { return read_once_; }
  const OnTransfer& on_transfer() const { return on_transfer_; }
  /// @}

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
  bool read_once_ = false;
  OnTransfer on_transfer_;
};

/// What does not match in a restore. Keys are dotted: "model.conv.weight".
struct TORCH_CHECKPOINT_API RestoreReport {
  std::vector<std::string> missing;        ///< Live, but not saved.
  std::vector<std::string> unexpected;     ///< Saved, but not live.
  std::vector<std::string> mismatched;     ///< Both, but of another dtype, shape or kind.
  std::vector<std::string> ignored_items;  ///< Saved items that the State does not name.
  /// PerRank items that no such rank has saved, because there were fewer ranks: they keep what they
  /// hold.
  std::vector<std::string> kept_items;
  /// All saved items, if one is missing that the State names. Otherwise empty.
  std::vector<std::string> file_items;

  /// Returns whether every live entry has its saved counterpart, and every saved entry its live
  /// one. Ignored items do not count.
  bool fits() const { return missing.empty() && unexpected.empty() && mismatched.empty(); }
  /// Returns the report as text, one entry a line. A missing key comes with the nearest saved one,
  /// if one is near; no saved key is named twice. If an item is missing, all saved items are
  /// listed. Empty if everything fits.
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

  /// Returns the checkpoint's name.
  const std::string& name() const { return manifest.name; }
  /// Returns what training had reached.
  const Progress& progress() const { return manifest.progress; }
};

}  // namespace checkpoint
