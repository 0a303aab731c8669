// Reading JSON text with simdjson's on-demand API. Its first stage checks UTF-8
// and control characters and finds every token; the walk below checks the rest
// from the raw tokens, because simdjson's own conversions refuse numbers that
// are valid JSON, and its on-demand scalars are only checked when converted.
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>

#include "json_number.h"
#include "nimbus/schema/json.h"
#include "nimbus/schema/status.h"

namespace nimbus::schema {
namespace {

namespace ondemand = simdjson::ondemand;

// Each open array or object is a stack frame here, and when a value is
// compared, written or destroyed.
constexpr size_t kDepthCeiling = 1024;

// Room for so many is made at once: few objects have more.
constexpr size_t kObjectMembers = 4;

// A thread keeps buffers for documents up to this size; larger ones are freed.
constexpr size_t kKeptBytesMax = size_t{1} << 20;

absl::Status Invalid(std::string_view reason) {
  return Error(absl::StatusCode::kInvalidArgument, "{}", reason);
}

std::string_view TrimEnd(std::string_view token) {
  return token.substr(0, token.find_last_not_of(" \t\n\r") + 1);
}

// Index of the first byte that is not part of well-formed UTF-8.
size_t FirstInvalidUtf8(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const auto lead = static_cast<unsigned char>(text[at]);
    const size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (at + length > text.size() || !simdjson::validate_utf8(text.data() + at, length)) break;
    at += length;
  }
  return at;
}

std::optional<uint32_t> ParseHex4(std::string_view text, size_t at) {
  if (text.size() < at + 4) return std::nullopt;
  uint32_t value = 0;
  for (const char c : text.substr(at, 4)) {
    uint32_t digit;
    if (c >= '0' && c <= '9') {
      digit = static_cast<uint32_t>(c - '0');
    } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
      digit = static_cast<uint32_t>((c | 0x20) - 'a') + 10;
    } else {
      return std::nullopt;
    }
    value = value << 4 | digit;
  }
  return value;
}

void AppendUtf8(uint32_t code, std::string* out) {
  if (code < 0x80) {
    out->push_back(static_cast<char>(code));
    return;
  }
  const int tail = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  constexpr std::array<uint32_t, 4> kLead = {0, 0xC0, 0xE0, 0xF0};
  out->push_back(static_cast<char>(kLead[static_cast<size_t>(tail)] | (code >> (6 * tail))));
  for (int i = tail - 1; i >= 0; --i) {
    out->push_back(static_cast<char>(0x80 | ((code >> (6 * i)) & 0x3F)));
  }
}

// Reads the escape at text[*at], a backslash, and moves *at behind it. Appends
// what it stands for to `out`, unless that is null.
absl::Status ReadEscape(std::string_view text, size_t* at, std::string* out) {
  constexpr std::string_view kLetters = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
  if (*at + 1 >= text.size()) return Invalid("incomplete escape");
  const char letter = text[*at + 1];
  if (const size_t i = kLetters.find(letter); i != std::string_view::npos) {
    if (out != nullptr) out->push_back(kMeanings[i]);
    *at += 2;
    return absl::OkStatus();
  }
  if (letter != 'u') return Invalid("unknown escape");
  const std::optional<uint32_t> unit = ParseHex4(text, *at + 2);
  if (!unit.has_value()) return Invalid("\\u without four hex digits");
  *at += 6;
  uint32_t code = *unit;
  if (code >= 0xDC00 && code <= 0xDFFF) return Invalid("lone surrogate");
  if (code >= 0xD800 && code <= 0xDBFF) {
    const bool pair = text.size() >= *at + 6 && text[*at] == '\\' && text[*at + 1] == 'u';
    const std::optional<uint32_t> low = pair ? ParseHex4(text, *at + 2) : std::nullopt;
    if (!low.has_value() || *low < 0xDC00 || *low > 0xDFFF) return Invalid("lone surrogate");
    code = 0x10000 + ((code - 0xD800) << 10) + (*low - 0xDC00);
    *at += 6;
  }
  if (out != nullptr) AppendUtf8(code, out);
  return absl::OkStatus();
}

// The text of a string literal's inside. `out` may be null, to check it only.
absl::Status ReadString(std::string_view text, std::string* out) {
  size_t at = 0;
  while (at < text.size()) {
    const void* found = std::memchr(text.data() + at, '\\', text.size() - at);
    const size_t escape = found == nullptr
                              ? text.size()
                              : static_cast<size_t>(static_cast<const char*>(found) - text.data());
    if (out != nullptr) out->append(text.substr(at, escape - at));
    at = escape;
    if (at < text.size()) NIMBUS_RETURN_IF_ERROR(ReadEscape(text, &at, out));
  }
  return absl::OkStatus();
}

// Reads a token that is no array or object. `out` may be null.
absl::Status ReadScalar(std::string_view token, Json* out) {
  if (token.empty()) return Invalid("a value is missing");
  if (token.front() == '"') {
    if (token.size() < 2 || token.back() != '"') return Invalid("unfinished string");
    std::string text;
    NIMBUS_RETURN_IF_ERROR(
        ReadString(token.substr(1, token.size() - 2), out == nullptr ? nullptr : &text));
    if (out != nullptr) *out = Json::String(std::move(text));
    return absl::OkStatus();
  }
  if (token == "true" || token == "false") {
    if (out != nullptr) *out = Json::Bool(token == "true");
    return absl::OkStatus();
  }
  if (token == "null") return absl::OkStatus();
  if (!IsJsonNumber(token)) return Invalid("not a JSON value");
  if (out != nullptr) *out = Json::Number(std::string(token));
  return absl::OkStatus();
}

// Walks one document; Build says whether values are made of it.
template <bool Build>
class Walk {
 public:
  explicit Walk(size_t depth_max) : depth_max_(std::min(depth_max, kDepthCeiling)) {}

  absl::Status Array(ondemand::array array, Json* out) {
    Json::Array items;
    NIMBUS_RETURN_IF_ERROR(Enter());
    for (simdjson::simdjson_result<ondemand::value> item : array) {
      ondemand::value value;
      if (const auto error = item.get(value)) return Invalid(simdjson::error_message(error));
      Json* slot = nullptr;
      if constexpr (Build) slot = &items.emplace_back();
      NIMBUS_RETURN_IF_ERROR(Value(value, slot));
    }
    --depth_;
    if constexpr (Build) *out = Json::MakeArray(std::move(items));
    return absl::OkStatus();
  }

  absl::Status Object(ondemand::object object, Json* out) {
    Json::Object members;
    if constexpr (Build) members.reserve(kObjectMembers);
    NIMBUS_RETURN_IF_ERROR(Enter());
    for (simdjson::simdjson_result<ondemand::field> item : object) {
      ondemand::field field;
      if (const auto error = std::move(item).get(field))
        return Invalid(simdjson::error_message(error));
      Json* slot = nullptr;
      std::string* key = nullptr;
      if constexpr (Build) {
        Json::Member& member = members.emplace_back();
        key = &member.first;
        slot = &member.second;
      }
      NIMBUS_RETURN_IF_ERROR(Key(field.key().raw(), key));
      NIMBUS_RETURN_IF_ERROR(Value(field.value(), slot));
    }
    --depth_;
    if constexpr (Build) *out = Json::MakeObject(std::move(members));
    return absl::OkStatus();
  }

 private:
  absl::Status Enter() {
    if (++depth_ > depth_max_) {
      return Error(absl::StatusCode::kInvalidArgument, "nested deeper than {}", depth_max_);
    }
    return absl::OkStatus();
  }

  // `raw` begins behind the opening quote; the first stage saw the closing one.
  static absl::Status Key(const char* raw, std::string* out) {
    size_t size = 0;
    while (raw[size] != '"') size += raw[size] == '\\' ? 2 : 1;
    return ReadString({raw, size}, out);
  }

  absl::Status Value(ondemand::value value, Json* out) {
    const std::string_view token = value.raw_json_token();
    simdjson::error_code error = simdjson::SUCCESS;
    switch (token.empty() ? '\0' : token.front()) {
      case '[': {
        ondemand::array array;
        error = value.get_array().get(array);
        return error ? Invalid(simdjson::error_message(error)) : Array(array, out);
      }
      case '{': {
        ondemand::object object;
        error = value.get_object().get(object);
        return error ? Invalid(simdjson::error_message(error)) : Object(object, out);
      }
      case '"': {
        // Consumed here: what on-demand skips by itself could be taken for a key.
        ondemand::raw_json_string raw;
        error = value.get_raw_json_string().get(raw);
        return error ? Invalid(simdjson::error_message(error)) : ReadScalar(TrimEnd(token), out);
      }
      default:
        return ReadScalar(TrimEnd(token), out);
    }
  }

  const size_t depth_max_;
  size_t depth_ = 0;
};

// simdjson reads from a padded copy of the text.
struct Workspace {
  ondemand::parser parser;
  std::unique_ptr<char[]> buffer;
  size_t capacity = 0;

  void Free() {
    parser = ondemand::parser();
    buffer.reset();
    capacity = 0;
  }

  void Load(std::string_view text) {
    if (capacity < text.size() + simdjson::SIMDJSON_PADDING) {
      capacity = std::max<size_t>(text.size() + simdjson::SIMDJSON_PADDING, 16 * 1024);
      buffer = std::make_unique_for_overwrite<char[]>(capacity);
    }
    std::memcpy(buffer.get(), text.data(), text.size());
    std::memset(buffer.get() + text.size(), 0, simdjson::SIMDJSON_PADDING);
  }
};

template <bool Build>
absl::Status WalkDocument(Workspace& workspace, std::string_view text, size_t depth_max,
                          Json* out) {
  workspace.Load(text);
  ondemand::document document;
  if (const auto error =
          workspace.parser.iterate(workspace.buffer.get(), text.size(), workspace.capacity)
              .get(document)) {
    if (error != simdjson::UTF8_ERROR) return Invalid(simdjson::error_message(error));
    return Error(absl::StatusCode::kInvalidArgument, "invalid UTF-8 (at byte {})",
                 FirstInvalidUtf8(text));
  }
  const size_t begin = std::min(text.find_first_not_of(" \t\n\r"), text.size());
  const std::string_view token = TrimEnd(text.substr(begin));
  if (token.empty() || (token.front() != '[' && token.front() != '{')) {
    // A document of one scalar must be one token; a second string would make two.
    if (!token.empty() && token.front() == '"') {
      const std::string_view raw = document.raw_json_token().value_unsafe();
      if (TrimEnd(raw) != token) return Invalid("more text follows the value");
    }
    return ReadScalar(token, out);
  }
  Walk<Build> walk(depth_max);
  absl::Status status;
  if (token.front() == '[') {
    ondemand::array array;
    const auto error = document.get_array().get(array);
    status = error ? Invalid(simdjson::error_message(error)) : walk.Array(array, out);
  } else {
    ondemand::object object;
    const auto error = document.get_object().get(object);
    status = error ? Invalid(simdjson::error_message(error)) : walk.Object(object, out);
  }
  const char* where = nullptr;
  const bool at_end = document.current_location().get(where) == simdjson::OUT_OF_BOUNDS;
  if (status.ok() && !at_end) status = Invalid("more text follows the value");
  if (status.ok() || where == nullptr) return status;
  return Error(absl::StatusCode::kInvalidArgument, "{} (near byte {})",
               std::string(status.message()), where - workspace.buffer.get());
}

template <bool Build>
absl::Status Read(std::string_view text, const JsonLimits& limits, Json* out) {
  if (text.size() > limits.bytes_max) {
    return Error(absl::StatusCode::kInvalidArgument, "JSON of {} bytes exceeds the limit of {}",
                 text.size(), limits.bytes_max);
  }
  if (text.starts_with("\xEF\xBB\xBF")) return Invalid("JSON begins with a byte order mark");
  thread_local Workspace workspace;
  absl::Status status = WalkDocument<Build>(workspace, text, limits.depth_max, out);
  if (text.size() > kKeptBytesMax) workspace.Free();
  if (status.ok()) return status;
  return Annotate(status, "malformed JSON");
}

}  // namespace

absl::StatusOr<Json> Json::Parse(std::string_view text, const JsonLimits& limits) {
  Json value;
  NIMBUS_RETURN_IF_ERROR(Read<true>(text, limits, &value));
  return value;
}

absl::Status ValidateJson(std::string_view text, const JsonLimits& limits) {
  return Read<false>(text, limits, nullptr);
}

}  // namespace nimbus::schema
