// JSON as Nimbus needs it: strict to read, exact in its numbers, canonical to
// write.
//
//   absl::StatusOr<Json> state = Json::Parse(R"({"n":39712373237291850001929057})");
//   state->Find("n")->number();          // "39712373237291850001929057", digit for digit
//   CanonicalJson(*state);               // RFC 8785
//
// Text is read with simdjson: RFC 8259, strict UTF-8, no lone surrogates, no
// duplicate-key check, JsonLimits. A number keeps the digits it was written
// with, because real traces hold 128-bit ids that no double does.
//
// Values are ordinary values: copyable, movable, no sharing. Thread-compatible.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace nimbus::schema {

struct JsonLimits {
  size_t bytes_max = 64u << 20;
  size_t depth_max = 512;  // arrays and objects open at once; 1024 at most, whatever is asked
};

class Json {
 public:
  enum class Type { kNull, kBool, kNumber, kString, kArray, kObject };
  using Array = std::vector<Json>;
  // Members in the order they were written. A later duplicate of a key replaces
  // the value of the first, in its place.
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;

  Json() = default;  // null
  static Json Bool(bool value);
  static Json Int(int64_t value);
  static Json Uint(uint64_t value);
  static Json Double(double value);  // shortest form that reads back; must be finite
  // `token` must be a JSON number.
  static Json Number(std::string token);
  static Json String(std::string value);  // UTF-8
  static Json MakeArray(Array items = {});
  static Json MakeObject(Object members = {});

  // InvalidArgument names the reason and, where known, the byte offset.
  static absl::StatusOr<Json> Parse(std::string_view text, const JsonLimits& limits = {});

  Type type() const { return static_cast<Type>(value_.index()); }
  bool IsNull() const { return type() == Type::kNull; }
  bool IsBool() const { return type() == Type::kBool; }
  bool IsNumber() const { return type() == Type::kNumber; }
  bool IsString() const { return type() == Type::kString; }
  bool IsArray() const { return type() == Type::kArray; }
  bool IsObject() const { return type() == Type::kObject; }

  // Each requires its own type (NIMBUS_CHECK).
  bool boolean() const;
  const std::string& number() const;  // the token
  const std::string& string() const;
  const Array& array() const;
  Array& array();
  const Object& object() const;
  Object& object();

  // Exact conversions; nullopt when this is no number, or not one that fits.
  // 1.0 and 1e2 are integers.
  std::optional<int64_t> AsInt() const;
  std::optional<double> AsDouble() const;  // nearest; nullopt beyond double's range

  // Member of an object by key; nullptr when absent or when this is no object.
  const Json* Find(std::string_view key) const;
  Json* Find(std::string_view key);
  // Find, then Find in that, …
  const Json* FindPath(std::initializer_list<std::string_view> keys) const;
  // The string under `key`, or `fallback` when absent or not a string.
  std::string_view StringOr(std::string_view key, std::string_view fallback = {}) const;

  // Sets a member (appended when new). Requires an object.
  void Set(std::string_view key, Json value);
  bool Erase(std::string_view key);

  // Equal as RFC 6902 tests it: members in any order, numbers by value (1, 1.0
  // and 1e0 are equal; numbers are compared exactly, at any size).
  friend bool operator==(const Json& a, const Json& b);

  // Compact text, members in their order, number tokens as they are.
  std::string Dump() const;
  void DumpTo(std::string* out) const;
  // Indented by two spaces, for people.
  std::string DumpPretty() const;

 private:
  struct NumberToken {
    std::string text;
  };
  std::variant<std::monostate, bool, NumberToken, std::string, Array, Object> value_;
};

// OK if `text` is one JSON value within the limits: what Json::Parse accepts,
// without building it. InvalidArgument otherwise.
absl::Status ValidateJson(std::string_view text, const JsonLimits& limits = {});

// RFC 8785 (members sorted by UTF-16 code units, ECMAScript numbers), except
// that a number keeps its digits where the nearest double, in its shortest
// form, is another number: without exponent if it is below 10^64, else in
// ECMAScript's form. So equal values give equal bytes, and only they do.
std::string CanonicalJson(const Json& value);
void CanonicalJsonTo(const Json& value, std::string* out);

// `text` as a JSON string literal, quotes included.
void AppendJsonString(std::string_view text, std::string* out);

}  // namespace nimbus::schema
