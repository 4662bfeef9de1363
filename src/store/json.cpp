#include "store/json.h"

#include <checkpoint/error.h>

#include <cmath>
#include <limits>

namespace checkpoint::store {
namespace {

using nlohmann::json;

// Our own documents are four levels deep.
constexpr int kMaxDepth = 16;

}  // namespace

json parse_json(const std::string& text, const std::string& path, const OnObject& on_object) {
  const auto watch = [&](int depth, json::parse_event_t event, json& parsed) {
    if (depth > kMaxDepth) {
      throw Error(ErrorCode::kCorrupt,
                  "the JSON is nested deeper than " + std::to_string(kMaxDepth) + " levels", path);
    }
    if (event == json::parse_event_t::object_end && on_object) return on_object(depth, parsed);
    return true;
  };
  try {
    json document = json::parse(text, watch);
    if (!document.is_object()) {
      throw Error(ErrorCode::kCorrupt, "the JSON is no object", path);
    }
    return document;
  } catch (const json::exception& error) {
    throw Error(ErrorCode::kCorrupt, std::string("the JSON cannot be read: ") + error.what(), path);
  }
}

std::string dump_json(const nlohmann::ordered_json& document, int indent) {
  try {
    return document.dump(indent);
  } catch (const json::exception& error) {
    throw Error(ErrorCode::kInvalidArgument,
                std::string("a name or text is not valid UTF-8: ") + error.what());
  }
}

JsonFields::JsonFields(const json& object, const std::string& path) : object_(object), path_(path) {
  if (!object.is_object()) throw Error(ErrorCode::kCorrupt, "an entry is no JSON object", path);
}

std::string JsonFields::string(const char* field) const {
  const json& value = at(field);
  if (!value.is_string()) refuse(field, "a string");
  return value.get<std::string>();
}

int64_t JsonFields::integer(const char* field) const {
  const json& value = at(field);
  const bool fits = value.is_number_unsigned()
                        ? value.get<uint64_t>() <= uint64_t{std::numeric_limits<int64_t>::max()}
                        : value.is_number_integer();
  if (!fits) refuse(field, "an integer of 64 bits");
  return value.get<int64_t>();
}

uint64_t JsonFields::size(const char* field) const {
  const json& value = at(field);
  if (!value.is_number_unsigned()) refuse(field, "an integer that is not negative");
  return value.get<uint64_t>();
}

bool JsonFields::boolean(const char* field) const {
  const json& value = at(field);
  if (!value.is_boolean()) refuse(field, "true or false");
  return value.get<bool>();
}

const json& JsonFields::array(const char* field) const {
  const json& value = at(field);
  if (!value.is_array()) refuse(field, "an array");
  return value;
}

const json& JsonFields::object(const char* field) const {
  const json& value = at(field);
  if (!value.is_object()) refuse(field, "an object");
  return value;
}

double JsonFields::number(const char* field) const {
  const json& value = at(field);
  if (value.is_number()) return value.get<double>();
  if (value == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (value == "inf") return std::numeric_limits<double>::infinity();
  if (value == "-inf") return -std::numeric_limits<double>::infinity();
  refuse(field, "a number");
}

const json& JsonFields::at(const char* field) const {
  const auto found = object_.find(field);
  if (found == object_.end()) refuse(field, "there");
  return *found;
}

void JsonFields::refuse(const char* field, const char* wanted) const {
  throw Error(ErrorCode::kCorrupt, std::string("the field \"") + field + "\" is not " + wanted,
              path_);
}

nlohmann::ordered_json json_number(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

}  // namespace checkpoint::store
