#include "format/tree/opaque.h"

#include "base/in_quotes.h"
#include "base/text.h"

#include <checkpoint/error.h>

namespace checkpoint::format {

namespace {

bool has_tensor(const Value& tree) {
  bool found = false;
  for_each_tensor(tree, Path(), [&](const Value&, const Path&) { found = true; });
  return found;
}

void check_plain(const Value& value, const Path& path) {
  const auto check_all = [&](const std::vector<Value>& values) {
    for (size_t i = 0; i < values.size(); ++i) check_plain(values[i], Path(path, i));
  };
  switch (value.kind()) {
    case Value::Kind::kList:
      return check_all(value.list());
    case Value::Kind::kTuple:
      return check_all(value.tuple());
    case Value::Kind::kDict:
      for (const auto& [key, entry] : value.dict()) check_plain(entry, Path(path, key));
      return;
    case Value::Kind::kOpaque:
      if (!has_tensor(value)) return;
      throw Error(ErrorCode::kUnsupported,
                  "the tensors of " + base::in_quotes(path.text()) + " are parts of an " +
                      kind_text(value) + ", which this library does not know",
                  "", 0, what_to_do(value.opaque().class_name));
    default:
      return;
  }
}

}  // namespace

std::string what_to_do(std::string_view class_name) {
  if (base::begins_with(class_name, "numpy")) {
    return "Nothing was run. In Python, save a number as x.item() and an array as "
           "torch.from_numpy(x).";
  }
  if (base::begins_with(class_name, "argparse")) {
    return "Nothing was run. In Python, save vars(args); or use its parts (Value::opaque()).";
  }
  if (base::begins_with(class_name, "pathlib")) {
    return "Nothing was run. In Python, save str(path); or use its parts (Value::opaque()).";
  }
  if (base::begins_with(class_name, "torch._utils._rebuild")) {
    return "Nothing was run. In Python, convert the tensor to a dense one of a common dtype before "
           "saving it; or use its parts (Value::opaque()).";
  }
  return "Nothing was run. In Python, save what is data alone: state_dict() instead of the object "
         "itself, and lists, dicts, numbers and strings; or use its parts (Value::opaque()).";
}

void refuse_to_save(const Opaque& opaque, const std::string& path) {
  throw Error(ErrorCode::kUnsupported,
              (path.empty() ? "this" : base::in_quotes(path)) +
                  " cannot be saved: it is an object of the class " +
                  base::in_quotes(opaque.class_name) + ", which this library does not know",
              "", 0, "Leave it out, or save its parts (Value::opaque()) as what they are.");
}

void check_tensors_are_plain(const Value& tree) {
  if (tree.kind() == Value::Kind::kOpaque) {
    throw Error(ErrorCode::kUnsupported,
                "the file holds an " + kind_text(tree) + ", which this library does not know", "",
                0, what_to_do(tree.opaque().class_name));
  }
  check_plain(tree, Path());
}

}  // namespace checkpoint::format
