#include "state/restore.h"

#include "state/items/rng.h"
#include "state/items/state_impl.h"
#include "state/plan/restore_plan.h"
#include "state/plan/saved_items.h"

#include "base/log.h"
#include "base/near_names.h"
#include "compat/accelerator.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <utility>

namespace checkpoint::state {
namespace {

constexpr char kCpu[] = "cpu";

// The archive holds only CPU tensors; the table has the device that each was saved from.
SavedDevices saved_devices(const store::TensorTable& table, const std::string& path) {
  std::unordered_map<uint64_t, c10::Device> devices;
  for (const store::TensorEntry& tensor : table.tensors) {
    if (tensor.device == kCpu) continue;
    const std::optional<c10::Device> device = compat::device_of(tensor.device);
    if (!device) {
      throw Error(ErrorCode::kCorrupt,
                  "the tensor '" + tensor.key + "' was saved from '" + tensor.device +
                      "', which is not a device's name",
                  path);
    }
    if (!device->is_cpu()) devices.emplace(tensor.offset, *device);
  }
  return [devices = std::move(devices)](const format::StoredTensor& stored) {
    const auto found = devices.find(stored.record_offset);
    return found != devices.end() ? found->second : stored.device;
  };
}

// Returns whether any of the item may be restored. A module's tensors are chosen one by one later,
// by their keys. Other items are restored whole.
bool is_chosen(const Item& item, const Selection& selection) {
  return selection.takes_item(item.name()) &&
         (item.places_parameters() || selection.takes(item.name()));
}

bool is_absent(const Item& item, const Together& together) {
  return item.is_per_rank() && std::find(together.absent.begin(), together.absent.end(),
                                         item.name()) != together.absent.end();
}

// Throws Error(invalid_argument) if the options name an item that the State does not have.
void check_items(const std::vector<std::string>& wanted, const SavedItems::Items& live,
                 const std::string& path) {
  std::vector<std::string> known;
  for (const Item* item : live) known.push_back(item->name());
  for (const std::string& name : wanted) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    throw Error(ErrorCode::kInvalidArgument,
                "RestoreOptions::items names '" + name + "', which is not in the State" +
                    base::instead_of(name, known),
                path);
  }
}

}  // namespace

RestoreReport restore(State& state, const Manifest& manifest, const store::TensorTable& table,
                      const std::vector<store::ContentFile>& files, format::DecodedArchive& archive,
                      const RestoreOptions& options, const Together& together) {
  auto& live = internal::StateAccess::get(state);
  ParameterNames names;
  for (const auto& item : live.items) item->name_parameters(names);

  RngItem rng;
  SavedItems::Items items;
  for (const auto& item : live.items) items.push_back(item.get());
  if (live.rng) items.push_back(&rng);
  const std::string& path = files.front().file->name();
  const TensorSource source{files, &archive, saved_devices(table, path)};
  check_items(options.items(), items, source.name());

  RestorePlan plan(source, options, live.shards);
  const SavedItems saved(manifest, table, archive.tree().dict(), items, plan);
  saved.check_selection(source.name());
  for (const bool modules : {true, false}) {
    for (const auto& item : live.items) {
      if (item->places_parameters() != modules || !is_chosen(*item, plan.selection())) continue;
      if (is_absent(*item, together)) continue;
      plan.divide(!item->is_per_rank());
      saved.plan(*item, names);
    }
  }
  // A checkpoint saved without generators has no "rng". That is reported only if the options name
  // items.
  const bool is_wanted = saved.holds(kRngName) || !options.items().empty();
  if (live.rng && is_wanted && !is_absent(rng, together) && is_chosen(rng, plan.selection()))
    saved.plan(rng, names);
  saved.note_leftovers();

  plan.require_fit(source.name());
  plan.run(together.before_writing);
  RestoreReport report = plan.report();
  for (const Item* item : items) {
    if (is_absent(*item, together)) report.kept_items.push_back(item->name());
  }
  return report;
}

}  // namespace checkpoint::state
