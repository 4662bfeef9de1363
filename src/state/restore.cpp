#include "state/restore.h"

#include "state/restore_plan.h"
#include "state/rng.h"
#include "state/state_impl.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <set>
#include <unordered_map>
#include <utility>

namespace checkpoint::state {
namespace {

// The archive holds CPU tensors only; the table knows where they lived.
SavedDevices saved_devices(const store::TensorTable& table) {
  std::unordered_map<uint64_t, c10::Device> devices;
  for (const store::TensorEntry& tensor : table.tensors) {
    const c10::Device device(tensor.device);
    if (!device.is_cpu()) devices.emplace(tensor.offset, device);
  }
  return [devices = std::move(devices)](const format::StoredTensor& stored) {
    const auto found = devices.find(stored.record_offset);
    return found != devices.end() ? found->second : stored.device;
  };
}

// What was saved, item by item.
class SavedItems {
 public:
  SavedItems(const Manifest& manifest, const store::TensorTable& table, const Dict& tree)
      : manifest_(manifest), table_(table), tree_(tree) {}

  // Adds the item's part to the plan, or that it is missing.
  void plan(Item& item, const ParameterNames& names, RestorePlan& plan) const {
    const auto entry =
        std::find_if(manifest_.items.begin(), manifest_.items.end(),
                     [&](const ItemEntry& saved) { return saved.name == item.name(); });
    const Value* value = tree_.find(item.name());
    if (entry == manifest_.items.end() || value == nullptr) {
      plan.missing(item.name());
      return;
    }
    const std::string kind = item.describe().kind;
    if (entry->kind != kind) {
      plan.mismatched(item.name(), kind + " here, " + entry->kind + " in the file");
      return;
    }
    static const std::vector<std::vector<std::string>> kNoNames;
    const auto parameters = table_.optimizer_parameters.find(item.name());
    item.plan({*value, *entry,
               parameters != table_.optimizer_parameters.end() ? parameters->second : kNoNames},
              names, plan);
  }

  bool holds(const std::string& name) const { return tree_.contains(name); }

 private:
  const Manifest& manifest_;
  const store::TensorTable& table_;
  const Dict& tree_;
};

[[noreturn]] void refuse(const RestoreReport& report, const std::string& path) {
  throw Error(ErrorCode::kIncompatible,
              "the checkpoint does not fit the State, and nothing was changed:\n" +
                  report.to_string() + "\n",
              path, 0,
              "Restore it into the model and the optimizer that it was saved from, or into ones of "
              "the same shape.");
}

}  // namespace

RestoreReport restore(State& state, const Manifest& manifest, const store::TensorTable& table,
                      const store::ByteSource& file, const format::DecodedArchive& archive,
                      const RestoreOptions& options) {
  auto& live = internal::StateAccess::get(state);
  ParameterNames names;
  for (const auto& item : live.items) item->name_parameters(names);

  RestorePlan plan(file, archive, options.map_location(), saved_devices(table));
  const SavedItems saved(manifest, table, archive.tree().dict());
  for (const bool modules : {true, false}) {
    for (const auto& item : live.items) {
      if (item->places_parameters() == modules) saved.plan(*item, names, plan);
    }
  }
  RngItem rng;
  // A checkpoint saved without generators has none to give.
  if (live.rng && saved.holds(kRngName)) saved.plan(rng, names, plan);

  std::set<std::string> known;
  for (const auto& item : live.items) known.insert(item->name());
  if (live.rng) known.insert(kRngName);
  for (const ItemEntry& item : manifest.items) {
    if (known.count(item.name) == 0) plan.ignored_item(item.name);
  }

  if (!plan.report().fits()) refuse(plan.report(), file.name());
  plan.run();
  return plan.report();
}

}  // namespace checkpoint::state

namespace checkpoint {

std::string RestoreReport::to_string() const {
  std::string text;
  const auto add = [&](const char* title, const std::vector<std::string>& keys) {
    if (keys.empty()) return;
    if (!text.empty()) text += '\n';
    text += std::string("  ") + title + ':';
    for (const std::string& key : keys) text += "\n    " + key;
  };
  add("missing in the file", missing);
  add("in the file only", unexpected);
  add("different", mismatched);
  return text;
}

}  // namespace checkpoint
