#pragma once

#include "format/pickle/pickle_writer.h"

#include <checkpoint/file.h>
#include <checkpoint/value.h>

#include <string>

namespace checkpoint::format {

/// Returns the format to write: the one in the options, or else the one of the extension. Throws
/// Error(unsupported).
Format format_for(const std::string& path, const SaveOptions& options);

/// Saves a tree; both forms of checkpoint::save call it. `root` is for .pth files.
void save_tree(const Value& value, RootDict root, const std::string& path,
               const SaveOptions& options);

}  // namespace checkpoint::format
