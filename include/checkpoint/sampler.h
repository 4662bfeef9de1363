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

/// A sampler for torch::data::DataLoader whose place in the epoch can be saved and restored
/// exactly: what counts is what the training loop says it has trained on, not what a DataLoader's
/// workers have drawn ahead of it.
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
/// Copies share one place: the DataLoader keeps one and the training loop another. Moving copies.
/// The place is a count of examples, so that a run may go on with another batch size or number of
/// workers. The DataLoader must deliver in order, as it does unless enforce_ordering(false).
///
/// Restore between passes over the DataLoader: batches that its workers hold already would still
/// come. All functions are thread-safe, also among copies; `next` and `reset` are for the
/// DataLoader to call. docs/sampler.md has the details.
class TORCH_CHECKPOINT_API ResumableSampler final : public torch::data::samplers::Sampler<> {
 public:
  /// The examples 0 to size - 1 in this order.
  static ResumableSampler sequential(size_t size);
  /// The examples in an order that depends on size, seed and epoch alone: it is the same with every
  /// version of LibTorch, on every machine, and takes nothing from LibTorch's generators. Takes 8
  /// bytes an example.
  static ResumableSampler shuffled(size_t size, uint64_t seed);

  ResumableSampler(const ResumableSampler&);
  ResumableSampler& operator=(const ResumableSampler&);
  ~ResumableSampler() override;

  /// Says which epoch the next pass over the DataLoader belongs to; call it before each pass. If it
  /// is the epoch in hand, the pass goes on where that was left, with what has not been trained on:
  /// nothing, if all has. If it is another, the pass starts it anew.
  ///
  /// Without it, the first pass, also after a restore, goes on in the epoch in hand, or starts the
  /// next if all of that has been trained on; each later pass starts the next. That cannot tell an
  /// epoch that ended early (drop_last, a `break`), nor a save after the last batch from one after
  /// the epoch. Throws Error(invalid_argument) if `epoch` is negative.
  void set_epoch(int64_t epoch);
  /// Says that `examples` more, in the order of delivery, have been trained on: call it after each
  /// batch, before a save. Throws Error(invalid_argument), and changes nothing, if the DataLoader
  /// has not drawn that many.
  void advance(size_t examples);

  /// The epoch in hand, counted from 0.
  int64_t epoch() const;
  /// How many of its examples have been trained on.
  size_t position() const;
  /// How many examples an epoch has.
  size_t size() const;

  /// What State::add saves: size, order, seed, epoch and position.
  Value state_dict() const;
  /// Goes to the epoch and position of a state_dict. Throws Error(incompatible), and changes
  /// nothing, if that is of a sampler of another size, order or seed.
  void load_state_dict(const Value& saved);

  /// Called by the DataLoader at the beginning of a pass; see set_epoch. `new_size`, if it is
  /// another, is the dataset's size from now on; throws Error(invalid_argument) if the pass would
  /// go on in the middle of an epoch then.
  void reset(torch::optional<size_t> new_size = {}) override;
  /// The next indices, at most `batch_size`; empty at the end of the epoch. Throws
  /// Error(invalid_argument) if `batch_size` is 0.
  torch::optional<std::vector<size_t>> next(size_t batch_size) override;
  /// Writes the state_dict's entries, as LibTorch's own samplers do.
  void save(torch::serialize::OutputArchive& archive) const override;
  /// Reads what `save` wrote; throws as load_state_dict does, and what LibTorch throws for a
  /// missing entry.
  void load(torch::serialize::InputArchive& archive) override;

 private:
  struct Shared;
  explicit ResumableSampler(std::shared_ptr<Shared> shared);

  friend class State;
  // A way back to exactly where this and its copies are now, in the middle of a pass too, where a
  // state_dict does not tell what has been drawn.
  std::function<void()> remember() const;

  std::shared_ptr<Shared> shared_;
};

}  // namespace checkpoint
