// Reading a JSON document whose shape somebody else decided: members by type,
// with errors that name the place, and decimals taken digit for digit.
//
//   NIMBUS_ASSIGN_OR_RETURN(const Fields call, Fields::Of(item, "tool_calls[3]"));
//   NIMBUS_ASSIGN_OR_RETURN(const std::string_view tool, call.Text("tool_name"));
//   NIMBUS_ASSIGN_OR_RETURN(const std::optional<int64_t> at, call.Time("timestamp"));
//
// An absent member and a null are the same: nothing recorded. A member of
// another type is InvalidArgument: "tool_calls[3].timestamp: a string, a number
// is needed". Values and views point into the document, which must outlive them.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/schema/json.h"
#include "tools/import/run.h"
#include "tools/import/source.h"

namespace nimbus::tools::import {

// The document when the source is one, whatever its shape; nullptr when it has
// several records.
const schema::Json* DocumentOf(const Source& source);

// The file's name without the endings that recordings have: "x.traj.json" -> "x".
std::string_view StemOf(const Source& source);

// `path` and `key` joined: "a.b", or the key alone at the top.
std::string MemberPath(std::string_view path, std::string_view key);
// "path[index]".
std::string ItemPath(std::string_view path, size_t index);

// OK when the journal takes `name` as a short name: at most
// schema::kNameBytesMax bytes, no control characters. Empty is fine.
absl::Status CheckName(std::string_view name, std::string_view path);

// The members of one object of the document.
class Fields {
 public:
  // InvalidArgument when `value` is no object.
  static absl::StatusOr<Fields> Of(const schema::Json& value, std::string path);

  const schema::Json& json() const { return *object_; }
  const std::string& path() const { return path_; }
  std::string PathOf(std::string_view key) const { return MemberPath(path_, key); }

  // The member whatever its type; nullptr when absent or null.
  const schema::Json* Find(std::string_view key) const;
  // The member of that type; nullptr when absent or null.
  absl::StatusOr<const schema::Json*> Optional(std::string_view key, schema::Json::Type type) const;
  absl::StatusOr<const schema::Json*> Required(std::string_view key, schema::Json::Type type) const;

  // The text, empty when absent.
  absl::StatusOr<std::string_view> Text(std::string_view key) const;
  // A text that passes CheckName; empty when absent.
  absl::StatusOr<std::string_view> Name(std::string_view key) const;
  absl::StatusOr<std::optional<bool>> Bool(std::string_view key) const;
  // A whole number of 0 or more.
  absl::StatusOr<std::optional<uint64_t>> Count(std::string_view key) const;
  // Seconds since 1970 as microseconds, truncated as schema::ParseUtc does.
  absl::StatusOr<std::optional<int64_t>> Time(std::string_view key) const;
  // A text that schema::ParseUtc reads, in microseconds; without a zone it is UTC.
  absl::StatusOr<std::optional<int64_t>> UtcText(std::string_view key) const;
  // Seconds of 0 or more, in microseconds.
  absl::StatusOr<std::optional<int64_t>> Duration(std::string_view key) const;
  // US dollars of 0 or more, in picodollars (1e-12), the finest that 64 bits
  // hold for sums of up to nine million dollars.
  absl::StatusOr<std::optional<int64_t>> Picodollars(std::string_view key) const;

 private:
  Fields(const schema::Json& object, std::string path);

  const schema::Json* object_;
  std::string path_;
};

enum class Rounding { kNearest, kDown };  // halves away from zero; towards minus infinity

// A JSON number times 10^power as an integer, computed on its digits.
// nullopt when the result does not fit.
std::optional<int64_t> ScaledDecimal(std::string_view token, int power, Rounding rounding);

// Adds up costs below a microdollar without losing them: what Add returns is
// the growth of the rounded sum, so a run's steps add up to the run's cost.
class CostMeter {
 public:
  int64_t Add(int64_t picodollars);
  int64_t microdollars() const;

 private:
  int64_t picodollars_ = 0;
};

int64_t MicrodollarsOf(int64_t picodollars);
uint64_t MillisecondsOf(int64_t microseconds);  // nearest; at least 0

// The text of a chat message's content: a string, or the text blocks of an
// array of blocks, one after the other.
std::string ContentText(const schema::Json* content);

// A copy of the object without the members named.
schema::Json Without(const schema::Json& object, std::initializer_list<std::string_view> keys);

// What the exit status of a run of the SWE-agent family says of its operation.
journal::Lifecycle LifecycleOfExit(std::string_view exit_status);

// Settles calls that have no outcome. Those at the end of an operation still
// going on may get one; any other never did, and is cancelled.
void SettleOpenCalls(Operation* operation);

// Identity of a recording that carries no id of its own: a digest of what was
// said up to and including the first answer, which every later snapshot repeats.
std::string ConversationKey(std::string_view format, const schema::Json::Array& opening);

}  // namespace nimbus::tools::import
