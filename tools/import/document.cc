#include "tools/import/document.h"

#include <algorithm>
#include <cctype>
#include <limits>
#include <utility>

#include "nimbus/schema/check.h"
#include "nimbus/schema/clock.h"
#include "nimbus/schema/digest.h"
#include "nimbus/schema/event.h"
#include "nimbus/schema/status.h"
#include "tools/import/text.h"

namespace nimbus::tools::import {
namespace {

using journal::Lifecycle;
using schema::Error;
using schema::Json;

constexpr int kTimePower = 6;    // seconds to microseconds
constexpr int kMoneyPower = 12;  // dollars to picodollars
constexpr int64_t kPicosPerMicro = 1'000'000;

std::string_view TypeName(Json::Type type) {
  switch (type) {
    case Json::Type::kNull:
      return "null";
    case Json::Type::kBool:
      return "a boolean";
    case Json::Type::kNumber:
      return "a number";
    case Json::Type::kString:
      return "a string";
    case Json::Type::kArray:
      return "an array";
    case Json::Type::kObject:
      return "an object";
  }
  return "unknown";
}

absl::Status WrongType(std::string_view path, Json::Type is, Json::Type needed) {
  return Error(absl::StatusCode::kInvalidArgument, "{}: {}, {} is needed",
               path.empty() ? "the document" : path, TypeName(is), TypeName(needed));
}

// A number as an exponent and its digits without leading zeros: 0.<digits> * 10^point.
struct Decimal {
  bool negative = false;
  std::string digits;
  int64_t point = 0;
};

// Requires a JSON number. An exponent beyond anything that could matter is clamped.
Decimal ParseDecimal(std::string_view token) {
  constexpr int64_t kExponentMax = 1'000'000'000;
  Decimal decimal;
  const size_t e = std::min(token.find_first_of("eE"), token.size());
  bool after_point = false;
  for (const char c : token.substr(0, e)) {
    if (c == '-') {
      decimal.negative = true;
    } else if (c == '.') {
      after_point = true;
    } else {
      if (!after_point && !(decimal.digits.empty() && c == '0')) ++decimal.point;
      if (after_point && decimal.digits.empty() && c == '0') --decimal.point;
      if (!decimal.digits.empty() || c != '0') decimal.digits += c;
    }
  }
  if (e == token.size()) return decimal;
  std::string_view exponent = token.substr(e + 1);
  const bool down = exponent.starts_with('-');
  if (down || exponent.starts_with('+')) exponent.remove_prefix(1);
  int64_t value = 0;
  for (const char c : exponent) value = std::min(value * 10 + (c - '0'), kExponentMax);
  decimal.point += down ? -value : value;
  return decimal;
}

}  // namespace

const Json* DocumentOf(const Source& source) {
  return source.records.size() == 1 ? &source.records.front().value : nullptr;
}

std::string_view StemOf(const Source& source) {
  std::string_view stem = source.name;
  for (const std::string_view ending : {".json", ".traj"}) {
    if (stem.ends_with(ending)) stem.remove_suffix(ending.size());
  }
  return stem;
}

std::string MemberPath(std::string_view path, std::string_view key) {
  return path.empty() ? std::string(key) : fmt::format("{}.{}", path, key);
}

std::string ItemPath(std::string_view path, size_t index) {
  return fmt::format("{}[{}]", path, index);
}

absl::Status CheckName(std::string_view name, std::string_view path) {
  if (name.size() > schema::kNameBytesMax) {
    return Error(absl::StatusCode::kInvalidArgument, "{}: a name of {} bytes, {} are allowed", path,
                 name.size(), schema::kNameBytesMax);
  }
  for (const char c : name) {
    if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) continue;
    return Error(absl::StatusCode::kInvalidArgument, "{}: a name with a control character", path);
  }
  return absl::OkStatus();
}

Fields::Fields(const Json& object, std::string path) : object_(&object), path_(std::move(path)) {}

absl::StatusOr<Fields> Fields::Of(const Json& value, std::string path) {
  if (!value.IsObject()) return WrongType(path, value.type(), Json::Type::kObject);
  return Fields(value, std::move(path));
}

const Json* Fields::Find(std::string_view key) const {
  const Json* member = object_->Find(key);
  return member == nullptr || member->IsNull() ? nullptr : member;
}

absl::StatusOr<const Json*> Fields::Optional(std::string_view key, Json::Type type) const {
  const Json* member = Find(key);
  if (member != nullptr && member->type() != type) {
    return WrongType(PathOf(key), member->type(), type);
  }
  return member;
}

absl::StatusOr<const Json*> Fields::Required(std::string_view key, Json::Type type) const {
  NIMBUS_ASSIGN_OR_RETURN(const Json* member, Optional(key, type));
  if (member == nullptr) {
    return Error(absl::StatusCode::kInvalidArgument, "{}: {} is needed", PathOf(key),
                 TypeName(type));
  }
  return member;
}

absl::StatusOr<std::string_view> Fields::Text(std::string_view key) const {
  NIMBUS_ASSIGN_OR_RETURN(const Json* member, Optional(key, Json::Type::kString));
  return member == nullptr ? std::string_view() : std::string_view(member->string());
}

absl::StatusOr<std::string_view> Fields::Name(std::string_view key) const {
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view name, Text(key));
  NIMBUS_RETURN_IF_ERROR(CheckName(name, PathOf(key)));
  return name;
}

absl::StatusOr<std::optional<bool>> Fields::Bool(std::string_view key) const {
  NIMBUS_ASSIGN_OR_RETURN(const Json* member, Optional(key, Json::Type::kBool));
  if (member == nullptr) return std::nullopt;
  return member->boolean();
}

absl::StatusOr<std::optional<uint64_t>> Fields::Count(std::string_view key) const {
  NIMBUS_ASSIGN_OR_RETURN(const Json* member, Optional(key, Json::Type::kNumber));
  if (member == nullptr) return std::nullopt;
  const std::optional<int64_t> value = member->AsInt();
  if (!value.has_value() || *value < 0) {
    return Error(absl::StatusCode::kInvalidArgument, "{}: {} is no count", PathOf(key),
                 member->number());
  }
  return static_cast<uint64_t>(*value);
}

absl::StatusOr<std::optional<int64_t>> Fields::Time(std::string_view key) const {
  NIMBUS_ASSIGN_OR_RETURN(const Json* member, Optional(key, Json::Type::kNumber));
  if (member == nullptr) return std::nullopt;
  const std::optional<int64_t> micros =
      ScaledDecimal(member->number(), kTimePower, Rounding::kDown);
  if (!micros.has_value()) {
    return Error(absl::StatusCode::kInvalidArgument, "{}: {} seconds are out of range", PathOf(key),
                 member->number());
  }
  return micros;
}

absl::StatusOr<std::optional<int64_t>> Fields::UtcText(std::string_view key) const {
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view text, Text(key));
  if (text.empty()) return std::nullopt;
  const std::optional<int64_t> micros = schema::ParseUtc(text);
  if (!micros.has_value()) {
    return Error(absl::StatusCode::kInvalidArgument, "{}: '{}' is no time", PathOf(key),
                 Headline(text, 40));
  }
  return micros;
}

absl::StatusOr<std::optional<int64_t>> Fields::Duration(std::string_view key) const {
  NIMBUS_ASSIGN_OR_RETURN(const Json* member, Optional(key, Json::Type::kNumber));
  if (member == nullptr) return std::nullopt;
  const std::optional<int64_t> micros =
      ScaledDecimal(member->number(), kTimePower, Rounding::kNearest);
  if (!micros.has_value() || *micros < 0) {
    return Error(absl::StatusCode::kInvalidArgument, "{}: {} is no duration in seconds",
                 PathOf(key), member->number());
  }
  return micros;
}

absl::StatusOr<std::optional<int64_t>> Fields::Picodollars(std::string_view key) const {
  NIMBUS_ASSIGN_OR_RETURN(const Json* member, Optional(key, Json::Type::kNumber));
  if (member == nullptr) return std::nullopt;
  const std::optional<int64_t> pico =
      ScaledDecimal(member->number(), kMoneyPower, Rounding::kNearest);
  if (!pico.has_value() || *pico < 0) {
    return Error(absl::StatusCode::kInvalidArgument, "{}: {} is no cost in dollars", PathOf(key),
                 member->number());
  }
  return pico;
}

std::optional<int64_t> ScaledDecimal(std::string_view token, int power, Rounding rounding) {
  constexpr int64_t kDigitsMax = 19;  // 10^19 exceeds every int64
  const Decimal decimal = ParseDecimal(token);
  const int64_t whole_digits = decimal.point + power;
  if (decimal.digits.empty()) return 0;
  if (whole_digits > kDigitsMax) return std::nullopt;
  const int64_t size = static_cast<int64_t>(decimal.digits.size());
  uint64_t whole = 0;
  for (int64_t i = 0; i < whole_digits; ++i) {
    const uint64_t digit = i < size ? static_cast<uint64_t>(decimal.digits[i] - '0') : 0;
    whole = whole * 10 + digit;  // at most 19 digits: no overflow of 64 bits
  }
  const bool has_rest =
      whole_digits < 0 ||
      decimal.digits.find_first_not_of('0', static_cast<size_t>(std::min(whole_digits, size))) !=
          std::string::npos;
  if (rounding == Rounding::kNearest) {
    if (whole_digits >= 0 && whole_digits < size && decimal.digits[whole_digits] >= '5') ++whole;
  } else if (decimal.negative && has_rest) {
    ++whole;
  }
  if (whole > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
  const int64_t magnitude = static_cast<int64_t>(whole);
  return decimal.negative ? -magnitude : magnitude;
}

int64_t MicrodollarsOf(int64_t picodollars) {
  NIMBUS_CHECK(picodollars >= 0);
  return picodollars / kPicosPerMicro + (picodollars % kPicosPerMicro >= kPicosPerMicro / 2);
}

uint64_t MillisecondsOf(int64_t microseconds) {
  const uint64_t micros = microseconds < 0 ? 0 : static_cast<uint64_t>(microseconds);
  return micros / 1000 + (micros % 1000 >= 500);
}

int64_t CostMeter::Add(int64_t picodollars) {
  NIMBUS_CHECK(picodollars >= 0);
  const int64_t before = microdollars();
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  picodollars_ = picodollars > kMax - picodollars_ ? kMax : picodollars_ + picodollars;
  return microdollars() - before;
}

int64_t CostMeter::microdollars() const { return MicrodollarsOf(picodollars_); }

std::string ContentText(const Json* content) {
  if (content == nullptr) return {};
  if (content->IsString()) return content->string();
  std::string text;
  if (!content->IsArray()) return text;
  for (const Json& block : content->array()) {
    text += block.IsString() ? std::string_view(block.string()) : block.StringOr("text");
  }
  return text;
}

Json Without(const Json& object, std::initializer_list<std::string_view> keys) {
  Json::Object members;
  for (const Json::Member& member : object.object()) {
    if (std::find(keys.begin(), keys.end(), member.first) == keys.end()) members.push_back(member);
  }
  return Json::MakeObject(std::move(members));
}

Lifecycle LifecycleOfExit(std::string_view exit_status) {
  std::string lower(exit_status);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (lower.empty()) return Lifecycle::kRunning;
  if (lower.starts_with("submitted")) return Lifecycle::kCompleted;
  if (lower.find("interrupt") != std::string::npos) return Lifecycle::kCancelled;
  return Lifecycle::kFailed;
}

void SettleOpenCalls(Operation* operation) {
  bool may_go_on = operation->status == Lifecycle::kRunning;
  for (auto step = operation->steps.rbegin(); step != operation->steps.rend(); ++step) {
    may_go_on = may_go_on && step->status == Lifecycle::kRunning;
    if (step->status != Lifecycle::kRunning || may_go_on) continue;
    step->status = Lifecycle::kCancelled;
    step->error = "no result recorded";
  }
}

std::string ConversationKey(std::string_view format, const Json::Array& opening) {
  std::string text(format);
  for (const Json& message : opening) {
    text += '\n';
    schema::CanonicalJsonTo(message, &text);
  }
  return schema::ToHex(schema::Blake2b256(text));
}

}  // namespace nimbus::tools::import
