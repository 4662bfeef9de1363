#pragma once

#include <checkpoint/state.h>
#include <checkpoint/value.h>

#include <string>

namespace checkpoint::state {

/// Returns why a saved value cannot go into a number of this C++ type; "" if it can. An integer
/// must come back exactly. A double may be rounded to the nearest float, but must not become
/// infinite or zero by that. `saved_type` is the item's type in the manifest.
std::string misfit(const Value& saved, const std::string& saved_type,
                   const internal::NumberType& wanted);

/// Does the same for uint64_t and long double, whose numbers may be saved as text.
std::string misfit_or_text(const Value& saved, const std::string& saved_type,
                           const internal::NumberType& wanted);

/// Reads a decimal text as a number. Returns false if the text is not a 64-bit number as a whole.
bool parse_unsigned(const std::string& text, uint64_t& number);
/// Does the same for a hexadecimal text, as make_long_double_item writes it.
bool parse_long_double(const std::string& text, long double& number);

}  // namespace checkpoint::state
