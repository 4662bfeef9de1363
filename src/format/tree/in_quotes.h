#pragma once

#include "base/in_quotes.h"

namespace checkpoint::format {
using store::in_quotes;
}  // namespace checkpoint::format
