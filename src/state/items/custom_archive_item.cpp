#include "state/items/custom_archive_item.h"

#include "state/plan/restore_plan.h"

#include <utility>

namespace checkpoint::state {

CustomArchiveItem::CustomArchiveItem(std::string name, std::string type, CustomSaveLoad object)
    : Item(std::move(name)), type_(std::move(type)), object_(std::move(object)) {}

ItemEntry CustomArchiveItem::entry() const { return {name(), "archive", type_, {}}; }

Value CustomArchiveItem::capture() const { return object_.capture(); }

void CustomArchiveItem::plan(const SavedItem& saved, const ParameterNames&, RestorePlan& plan) {
  object_.plan_load(saved.value, follow_map_location(plan), plan);
}

}  // namespace checkpoint::state
