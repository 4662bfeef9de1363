#pragma once

#include "format/pickle/pickle_writer.h"

#include <checkpoint/file.h>
#include <checkpoint/value.h>

#include <string>

namespace checkpoint::format {

/// What a file will be: the options say it, else the extension. Throws Error(unsupported).
Format format_for(const std::string& path, const SaveOptions& options);

/// What both forms of checkpoint::save do. `root` is for .pth files.
void save_tree(const Value& value, RootDict root, const std::string& path,
               const SaveOptions& options);

}  // namespace checkpoint::format
