#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>

namespace checkpoint::base {

/// Receives the objects in a document's outermost arrays value by value, while the document is
/// parsed. So a large table is never in memory as a document. What these objects hold has a limited
/// depth, and must be valid JSON; all else is left to the class.
class JsonRows {
 public:
  virtual ~JsonRows() = default;
  virtual void begin_object() = 0;
  virtual void end_object() = 0;
  virtual void begin_array() = 0;
  virtual void end_array() = 0;
  /// The key of the value that comes next.
  virtual void key(const std::string& name) = 0;
  virtual void text(const std::string& value) = 0;
  virtual void number(uint64_t value) = 0;
  /// A value of another kind: null, a bool, and a number that is negative or has a fraction.
  virtual void other() = 0;
};

/// Receives a document event by event. Every text from outside is read through this class.
/// nlohmann's own parser skips a byte-order mark, and takes a NUL for the end of the text. Such a
/// text could hide content from us that other readers see.
class JsonEvents : public nlohmann::json_sax<nlohmann::json> {
 public:
  /// Reads a text that is one document, with only blanks around it.
  void read(const std::string& text);

  bool binary(binary_t&) final;
  bool parse_error(size_t position, const std::string& token,
                   const nlohmann::json::exception& error) final;

 private:
  /// Throws an error about the text. `position` counts bytes from 1, as nlohmann does.
  [[noreturn]] virtual void malformed(size_t position, const std::string& reason) const = 0;
};

/// Parses a document from outside. Only blanks may surround it. Its depth and the memory that it
/// takes are limited while parsing, and an object must not have a field twice. What `rows` receives
/// is not in the document. Throws Error(corrupt) with `path`.
nlohmann::json parse_json(const std::string& text, const std::string& path,
                          JsonRows* rows = nullptr);

/// Returns the text of a document. Throws Error(invalid_argument) if a string in it is not UTF-8.
std::string dump_json(const nlohmann::ordered_json& document, int indent);

/// Reads the fields of an object from outside. Each call throws Error(corrupt), naming the file and
/// the field, if the field is missing or of another type.
class JsonFields {
 public:
  /// Both must outlive this.
  JsonFields(const nlohmann::json& object, const std::string& path);
  std::string string(const std::string& field) const;
  int64_t integer(const std::string& field) const;
  uint64_t size(const std::string& field) const;  ///< A non-negative integer.
  bool boolean(const std::string& field) const;
  const nlohmann::json& array(const std::string& field) const;
  const nlohmann::json& object(const std::string& field) const;
  /// Reads a number. "nan", "inf" and "-inf" are texts, because JSON has no numbers for them.
  double number(const std::string& field) const;
  bool has(const std::string& field) const { return object_.contains(field); }

 private:
  const nlohmann::json& at(const std::string& field) const;
  [[noreturn]] void refuse(const std::string& field, const char* wanted) const;

  const nlohmann::json& object_;
  const std::string& path_;
};

/// Returns a size from an array: 0 to 2^63 - 1. Throws Error(corrupt), naming the field.
int64_t json_count(const nlohmann::json& value, const char* field, const std::string& path);

/// Returns the JSON for a number, in the form that JsonFields::number reads.
nlohmann::ordered_json json_number(double value);

}  // namespace checkpoint::base
