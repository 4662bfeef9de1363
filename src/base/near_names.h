#pragma once

#include "base/glob.h"

#include <cstddef>
#include <string>
#include <vector>

namespace checkpoint::base {

/// For each of `wanted` the one of `known` that was most likely meant: one that differs little, or
/// has the same dotted end ("head.weight", "module.head.weight"). Empty where none is near. None is
/// given twice: of several it goes to the nearest. Of very many names, the first are looked at.
std::vector<std::string> nearest_names(const std::vector<std::string>& wanted,
                                       const std::vector<std::string>& known);

/// The few of `known` that nearly match, the nearest first.
std::vector<std::string> near_names(const Glob& glob, const std::vector<std::string>& known);

/// "'a', 'b', 'c' and 9 more"; "none" for no names.
std::string listed(const std::vector<std::string>& names);

/// The end of an error's sentence about a name that is not among `known`: "; near it is 'model'",
/// or what there is instead: "; there are 'model' and 'optimizer'".
std::string instead_of(const std::string& wanted, const std::vector<std::string>& known);
/// The same about a glob.
std::string instead_of(const Glob& wanted, const std::vector<std::string>& known);

}  // namespace checkpoint::base
