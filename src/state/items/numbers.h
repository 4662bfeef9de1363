#pragma once

#include <checkpoint/state.h>
#include <checkpoint/value.h>

#include <string>

namespace checkpoint::state {

/// Why a saved value cannot go into a number of this C++ type; "" if it can. An integer comes back
/// exactly or not at all. A double may be rounded to the nearest float, but must become neither
/// infinite nor zero by that. `saved_type` is the item's in the manifest.
std::string misfit(const Value& saved, const std::string& saved_type,
                   const internal::NumberType& wanted);

/// The same for uint64_t and long double, whose numbers may stand in the file as text.
std::string misfit_or_text(const Value& saved, const std::string& saved_type,
                           const internal::NumberType& wanted);

/// Reads a whole decimal text as a number. Returns false if it is not one of 64 bits.
bool parse_unsigned(const std::string& text, uint64_t& number);
/// The same for a hexadecimal text as make_long_double_item writes it.
bool parse_long_double(const std::string& text, long double& number);

}  // namespace checkpoint::state
