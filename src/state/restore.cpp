#include "state/restore.h"

#include "state/plan/restore_plan.h"
#include "state/items/rng.h"
#include "state/items/state_impl.h"

#include "base/log.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <set>
#include <unordered_map>
#include <utility>

namespace checkpoint::state {
namespace {

constexpr char kCpu[] = "cpu";

// The archive holds CPU tensors only; the table knows where they lived.
SavedDevices saved_devices(const store::TensorTable& table) {
  std::unordered_map<uint64_t, c10::Device> devices;
  for (const store::TensorEntry& tensor : table.tensors) {
    if (tensor.device == kCpu) continue;
    const c10::Device device(tensor.device);
    if (!device.is_cpu()) devices.emplace(tensor.offset, device);
  }
  return [devices = std::move(devices)](const format::StoredTensor& stored) {
    const auto found = devices.find(stored.record_offset);
    return found != devices.end() ? found->second : stored.device;
  };
}

template <typename Map>
const typename Map::mapped_type& find_or_empty(const Map& map, const std::string& name) {
  static const typename Map::mapped_type kEmpty;
  const auto found = map.find(name);
  return found != map.end() ? found->second : kEmpty;
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
    item.plan({*value, *entry, find_or_empty(table_.optimizer_parameters, item.name()),
               find_or_empty(table_.eval_modules, item.name())},
              names, plan);
  }

  bool holds(const std::string& name) const { return tree_.contains(name); }

 private:
  const Manifest& manifest_;
  const store::TensorTable& table_;
  const Dict& tree_;
};

// A module's tensors are chosen one by one, by their keys; other items are restored whole.
bool is_chosen(const Item& item, const Selection& selection) {
  return selection.takes_item(item.name()) &&
         (item.places_parameters() || selection.takes(item.name()));
}

void check_items(const std::vector<std::string>& wanted,
                 const std::vector<std::unique_ptr<Item>>& live) {
  for (const std::string& name : wanted) {
    const bool known =
        name == kRngName || std::any_of(live.begin(), live.end(),
                                        [&](const auto& item) { return item->name() == name; });
    if (known) continue;
    throw Error(ErrorCode::kInvalidArgument,
                "RestoreOptions::items names '" + name + "', which is not in the State");
  }
}

[[noreturn]] void refuse(const RestoreReport& report, const std::string& path) {
  throw Error(ErrorCode::kIncompatible,
              "what was saved does not fit, and nothing was changed:\n" + report.to_string() + "\n",
              path, 0,
              "Restore it into what it was saved from, or into what has the same names and shapes; "
              "rename() and Strict::kNo load a part.");
}

}  // namespace

void settle(const RestorePlan& plan, Strict strict, const std::string& path) {
  if (plan.report().fits()) return;
  if (strict == Strict::kYes) refuse(plan.report(), path);
  store::log_warning("not everything of '" + path + "' fits, and what does is restored:\n" +
                     plan.report().to_string());
}

RestoreReport restore(State& state, const Manifest& manifest, const store::TensorTable& table,
                      const store::ByteSource& file, const format::DecodedArchive& archive,
                      const RestoreOptions& options, const FileEntry* unchecked) {
  auto& live = internal::StateAccess::get(state);
  ParameterNames names;
  for (const auto& item : live.items) item->name_parameters(names);

  check_items(options.items(), live.items);
  const TensorSource source{&file, &archive, saved_devices(table), unchecked};
  RestorePlan plan(source, options);
  const SavedItems saved(manifest, table, archive.tree().dict());
  for (const bool modules : {true, false}) {
    for (const auto& item : live.items) {
      if (item->places_parameters() != modules || !is_chosen(*item, plan.selection())) continue;
      saved.plan(*item, names, plan);
    }
  }
  RngItem rng;
  // A checkpoint saved without generators has none to give.
  if (live.rng && saved.holds(kRngName) && is_chosen(rng, plan.selection())) {
    saved.plan(rng, names, plan);
  }

  std::set<std::string> known;
  for (const auto& item : live.items) known.insert(item->name());
  if (live.rng) known.insert(kRngName);
  for (const ItemEntry& item : manifest.items) {
    if (known.count(item.name) == 0) plan.ignored_item(item.name);
  }

  settle(plan, options.strict(), file.name());
  plan.run();
  return plan.report();
}

}  // namespace checkpoint::state
