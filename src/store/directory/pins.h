#pragma once

#include "store/directory/directory.h"

#include <set>
#include <string>

namespace checkpoint::store {

// A pin is an empty file `.pins/NAME`. Pinning needs no writer lock. A removal checks for the pin
// just before it is decided. The comment at the top of retire.cpp says why the two cannot miss each
// other.

/// Pins a checkpoint. On return the checkpoint exists, and `retire` will not remove it.
/// Thread-safe, in any process. Throws Error: not_found if the checkpoint does not exist or its
/// removal was decided first; locked if the writer's directory was moved; invalid_argument if
/// `name` is not a checkpoint name; io.
void pin(const Directory& directory, const std::string& name);
/// Removes a pin. Returns whether the checkpoint was pinned. Throws Error: locked, io,
/// invalid_argument.
bool unpin(const Directory& directory, const std::string& name);

/// Returns whether the directory of pins has an entry of that name, of any kind. Throws Error(io)
/// if that cannot be checked.
bool is_pinned(const Directory& directory, const std::string& name);
/// Returns all names in the directory of pins, also names without a checkpoint. Throws Error(io).
std::set<std::string> read_pins(const Directory& directory);

}  // namespace checkpoint::store
