#pragma once

#include "base/glob.h"

#include <cstddef>
#include <string>
#include <vector>

namespace checkpoint::base {

/// Returns, for each of `wanted`, the one of `known` that was most likely meant. That one differs
/// little, or has the same dotted end ("head.weight", "module.head.weight"). Empty where nothing is
/// near. A known name is given only once, to the nearest. Of very many names, only the first are
/// compared.
std::vector<std::string> nearest_names(const std::vector<std::string>& wanted,
                                       const std::vector<std::string>& known);

/// Returns the few of `known` that nearly match, the nearest first.
std::vector<std::string> near_names(const Glob& glob, const std::vector<std::string>& known);

/// Returns the names as text: "'a', 'b', 'c' and 9 more". For an empty list, returns "none".
std::string listed(const std::vector<std::string>& names);

/// Returns the end of an error's sentence about a name that is not in `known`. If a name is near:
/// "; the nearest is 'model'". Otherwise it lists them: "; there are 'model' and 'optimizer'".
std::string instead_of(const std::string& wanted, const std::vector<std::string>& known);
/// Returns the same for a glob.
std::string instead_of(const Glob& wanted, const std::vector<std::string>& known);

}  // namespace checkpoint::base
