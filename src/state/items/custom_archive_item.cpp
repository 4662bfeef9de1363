#include "state/items/custom_archive_item.h"

#include "state/plan/restore_plan.h"

#include <memory>
#include <optional>
#include <utility>

namespace checkpoint::state {

CustomArchiveItem::CustomArchiveItem(std::string name, std::string type, CustomSaveLoad object)
    : Item(std::move(name)), type_(std::move(type)), object_(std::move(object)) {}

ItemEntry CustomArchiveItem::entry() const { return {name(), "archive", type_, {}}; }

Value CustomArchiveItem::capture() const { return object_.capture(); }

void CustomArchiveItem::plan(const SavedItem& saved, const ParameterNames&, RestorePlan& plan) {
  if (saved.entry.type != type_ || !saved.value.is_dict()) {
    plan.mismatched(name(), "the state of " + saved.entry.type + " cannot go into " + type_);
    return;
  }
  const Dict live = object_.capture();
  if (!can_be_undone(live, name(), plan)) return;
  const auto wanted = std::make_shared<Dict>(
      read_tree(saved.value.dict(), name(), live, follow_map_location(plan), plan));
  const auto before = std::make_shared<std::optional<Dict>>();
  plan.add_step(
      [this, wanted, before] {
        *before = Copier().copy(object_.capture());
        object_.load(*wanted);
      },
      [this, before] {
        if (*before) object_.load(**before);
      });
}

}  // namespace checkpoint::state
