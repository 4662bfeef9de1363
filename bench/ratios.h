#pragma once

#include "report.h"

namespace bench {

/// Adds the ratios of what was measured, with their aims.
void add_ratios(Report& report);

}  // namespace bench
