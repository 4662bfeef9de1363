#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <functional>
#include <string>

namespace checkpoint::base {

/// Called with each object that ends `depth` levels below the top; returns whether to keep it in
/// the array that it stands in. Large tables are consumed object by object, and never stand in
/// memory whole.
using OnObject = std::function<bool(int depth, nlohmann::json& object)>;

/// Takes a document event by event. nlohmann's own parser passes over a byte-order mark, and takes
/// a NUL for the end of the text: what stands there would be hidden from us and seen by others.
/// Every text that may come from anybody is therefore read through this.
class JsonEvents : public nlohmann::json_sax<nlohmann::json> {
 public:
  /// Reads a text that is one document, with nothing but blanks around it.
  void read(const std::string& text);

  bool binary(binary_t&) final;
  bool parse_error(size_t position, const std::string& token,
                   const nlohmann::json::exception& error) final;

 private:
  /// Throws. `position` counts bytes from 1, as nlohmann does.
  [[noreturn]] virtual void malformed(size_t position, const std::string& reason) const = 0;
};

/// Parses a document that may come from anybody: nothing may stand before or behind it, its depth
/// and the memory that it takes are bounded while parsing, and no object may have a field twice.
/// Throws Error(corrupt) naming `path`.
nlohmann::json parse_json(const std::string& text, const std::string& path,
                          const OnObject& on_object = {});

/// The text of a document. Throws Error(invalid_argument) if a string in it is not UTF-8.
std::string dump_json(const nlohmann::ordered_json& document, int indent);

/// Reads the fields of an object that may come from anybody: each call throws Error(corrupt),
/// naming the file and the field, if the field is missing or of another type.
class JsonFields {
 public:
  /// Both must outlive this.
  JsonFields(const nlohmann::json& object, const std::string& path);
  std::string string(const std::string& field) const;
  int64_t integer(const std::string& field) const;
  uint64_t size(const std::string& field) const;  ///< An integer that is not negative.
  bool boolean(const std::string& field) const;
  const nlohmann::json& array(const std::string& field) const;
  const nlohmann::json& object(const std::string& field) const;
  /// A number, or "nan", "inf", "-inf", which JSON cannot write as numbers.
  double number(const std::string& field) const;
  bool has(const std::string& field) const { return object_.contains(field); }

 private:
  const nlohmann::json& at(const std::string& field) const;
  [[noreturn]] void refuse(const std::string& field, const char* wanted) const;

  const nlohmann::json& object_;
  const std::string& path_;
};

/// One of the sizes that an array holds: 0 to 2^63 - 1. Throws Error(corrupt), naming the field.
int64_t json_count(const nlohmann::json& value, const char* field, const std::string& path);

/// The other direction of JsonFields::number.
nlohmann::ordered_json json_number(double value);

}  // namespace checkpoint::base
