#pragma once

#include <checkpoint/export.h>
#include <checkpoint/value.h>

#include <torch/data/samplers/base.h>
#include <torch/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace checkpoint {

/// A sampler for torch::data::DataLoader that can resume in the middle of an epoch. Its position
/// counts the examples that the loop has trained on (`advance`), not the ones that the DataLoader's
/// workers have already fetched.
///
///     auto sampler = checkpoint::ResumableSampler::shuffled(dataset.size().value(), /*seed=*/7);
///     auto loader = torch::data::make_data_loader(dataset, sampler, options);
///     state.add("sampler", sampler);
///     …
///     for (int64_t epoch = first; epoch < epochs; ++epoch) {   // first: Progress::next_epoch()
///       sampler.set_epoch(epoch);
///       for (const auto& batch : *loader) {
///         …
///         sampler.advance(batch.data.size(0));
///         manager.save_if_due(state, progress);
///
/// Copies share one position: the DataLoader keeps one copy and the training loop another. Moving a
/// sampler copies it. The position is a number of examples, so a run may continue with another
/// batch size or number of workers. The DataLoader must deliver in order, as it does without
/// enforce_ordering(false).
///
/// Do not restore during a pass over the DataLoader: batches that its workers have already fetched
/// would still arrive. All functions are thread-safe, also among copies. `next` and `reset` are for
/// the DataLoader. docs/sampler.md has the details.
class TORCH_CHECKPOINT_API ResumableSampler final : public torch::data::samplers::Sampler<> {
 public:
  /// Makes a sampler of the examples 0 to size - 1, in this order.
  ///
  /// With several ranks, each takes every `world_size`-th example of what is left in the epoch,
  /// from the `rank`-th on. Add the sampler to the State without PerRank: all ranks share its
  /// place. They must train in step, with equal batches. Then any number of ranks can resume in the
  /// middle of an epoch, and no example of it comes twice or is left out. If the examples do not
  /// divide evenly, some ranks have one less. Throws Error(invalid_argument) if `rank` is not below
  /// `world_size`.
  static ResumableSampler sequential(size_t size, size_t rank = 0, size_t world_size = 1);
  /// Makes a sampler of the same examples in a shuffled order, which depends only on size, seed and
  /// epoch. The order is the same with every version of LibTorch and on every machine. It does not
  /// use LibTorch's generators. Takes 8 bytes an example. `rank` and `world_size` are as above.
  static ResumableSampler shuffled(size_t size, uint64_t seed, size_t rank = 0,
                                   size_t world_size = 1);

  /// Makes a copy that shares the position.
  ResumableSampler(const ResumableSampler&);
  /// Shares the other one's position from now on.
  ResumableSampler& operator=(const ResumableSampler&);
  ~ResumableSampler() override;

  /// Sets the epoch of the next pass over the DataLoader. Call it before each pass. If it is the
  /// current epoch, the pass delivers the examples that have not been trained on yet, or nothing.
  /// If it is another epoch, the pass starts that one from its beginning.
  ///
  /// Without this call, the first pass, also after a restore, continues the current epoch. If all
  /// of that has been trained on, the first pass starts the next epoch. Each later pass starts the
  /// next one. That cannot recognise an epoch that ended early (drop_last, a `break`). Nor can it
  /// tell a save after the last batch from one after the epoch. Throws Error(invalid_argument) if
  /// `epoch` is negative.
  void set_epoch(int64_t epoch);
  /// Adds to the examples that have been trained on, in the order of delivery. Call it after each
  /// batch, before a save. Throws Error(invalid_argument), and changes nothing, if the DataLoader
  /// has not fetched that many.
  void advance(size_t examples);

  /// Returns the current epoch, counted from 0.
  int64_t epoch() const;
  /// Returns how many examples of the epoch have been trained on, by all ranks together.
  size_t position() const;
  /// Returns how many examples an epoch has, for all ranks together.
  size_t size() const;

  /// Returns what a save holds: size, order, seed, epoch and position.
  Value state_dict() const;
  /// Sets the epoch and position of a state_dict. Throws Error(incompatible), and changes nothing,
  /// if it comes from a sampler of another size, order or seed.
  void load_state_dict(const Value& saved);

  /// Begins a pass; the DataLoader calls it. See set_epoch. If `new_size` is given, it is the
  /// dataset's size from now on. Throws Error(invalid_argument) if the size changes in the middle
  /// of an epoch.
  void reset(torch::optional<size_t> new_size = {}) override;
  /// Returns the next indices, at most `batch_size`, or nothing at the end of the epoch. Throws
  /// Error(invalid_argument) if `batch_size` is 0.
  torch::optional<std::vector<size_t>> next(size_t batch_size) override;
  /// Writes the state_dict's entries, as LibTorch's own samplers do.
  void save(torch::serialize::OutputArchive& archive) const override;
  /// Reads the entries that `save` wrote. Throws as load_state_dict does. For a missing entry,
  /// throws LibTorch's own exception.
  void load(torch::serialize::InputArchive& archive) override;

 private:
  struct Shared;
  explicit ResumableSampler(std::shared_ptr<Shared> shared);

  friend class State;
  // Returns a function that brings this and its copies back to exactly where they are now, also in
  // the middle of a pass. A state_dict cannot do that: it does not say which examples have been
  // drawn.
  std::function<void()> remember() const;

  std::shared_ptr<Shared> shared_;
};

}  // namespace checkpoint
