#pragma once

#include "format/pickle/pth_storages.h"

#include <checkpoint/value.h>

#include <string>

namespace checkpoint::format {

/// What a tree's dicts become in Python.
enum class RootDict {
  kPlain,    ///< dict.
  kOrdered,  ///< The outermost one is a collections.OrderedDict, as a state_dict is.
};

/// Returns the pickle (protocol 2) from which Python's torch.load makes the tree, also with its
/// default weights_only=True. The tensors refer to the records "0", "1", … of `storages`. A tensor
/// that occurs several times is one object. Throws Error(unsupported) for nesting deeper than 100,
/// and for a text that is not UTF-8, which Python could not read; the error names it.
std::string write_pickle(const Value& tree, const PthStorages& storages, RootDict root);

}  // namespace checkpoint::format
