#pragma once

#include "store/directory/directory.h"

#include <set>
#include <string>

namespace checkpoint::store {

// A pin is an empty file `.pins/NAME`. It is made and removed without the writer lock, and read
// just before a checkpoint is retired. retire.cpp begins with how the two cannot miss each other.

/// Pins a checkpoint; when it returns, the checkpoint is there, and no `retire` that honours pins
/// takes it. Thread-safe, in any process. Throws Error: not_found if the checkpoint is not there or
/// its removal was decided before; locked if a writer's directory was moved; invalid_argument for
/// what is not a checkpoint's name; io.
void pin(const Directory& directory, const std::string& name);
/// Returns whether it was pinned. Throws Error: locked, io, invalid_argument.
bool unpin(const Directory& directory, const std::string& name);

/// Whether a file of that name stands among the pins, whatever it is. Throws Error(io) if that
/// cannot be seen.
bool is_pinned(const Directory& directory, const std::string& name);
/// All names among the pins, those of no checkpoint too. Throws Error(io).
std::set<std::string> read_pins(const Directory& directory);

}  // namespace checkpoint::store
