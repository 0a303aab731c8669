// JSON values as text: string literals, Dump and DumpPretty, and RFC 8785.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "json_number.h"
#include "nimbus/schema/json.h"

namespace nimbus::schema {
namespace {

bool NeedsEscape(unsigned char c) { return c < 0x20 || c == '"' || c == '\\'; }

// Whether one of eight bytes needs an escape: a zero byte in (word ^ pattern),
// or a byte below 0x20, by the well-known borrow trick.
bool AnyNeedsEscape(uint64_t word) {
  constexpr uint64_t kOnes = 0x0101010101010101, kHighs = 0x8080808080808080;
  const uint64_t quote = word ^ (kOnes * '"');
  const uint64_t backslash = word ^ (kOnes * '\\');
  return ((((word - kOnes * 0x20) & ~word) | ((quote - kOnes) & ~quote) |
           ((backslash - kOnes) & ~backslash)) &
          kHighs) != 0;
}

size_t FindEscape(std::string_view text, size_t at) {
  uint64_t word;
  while (at + sizeof word <= text.size()) {
    std::memcpy(&word, text.data() + at, sizeof word);
    if (AnyNeedsEscape(word)) break;
    at += sizeof word;
  }
  while (at < text.size() && !NeedsEscape(static_cast<unsigned char>(text[at]))) ++at;
  return at;
}

void AppendEscape(unsigned char c, std::string* out) {
  constexpr std::string_view kHex = "0123456789abcdef";
  switch (c) {
    case '"':
    case '\\':
      out->append({'\\', static_cast<char>(c)});
      return;
    case '\b':
      out->append("\\b");
      return;
    case '\t':
      out->append("\\t");
      return;
    case '\n':
      out->append("\\n");
      return;
    case '\f':
      out->append("\\f");
      return;
    case '\r':
      out->append("\\r");
      return;
    default:
      out->append("\\u00");
      out->append({kHex[c >> 4], kHex[c & 15]});
  }
}

// Order by UTF-16 code units, of UTF-8 text. It is the order of the bytes, but
// that characters beyond U+FFFF (surrogates in UTF-16) come before U+E000.
bool Utf16Less(std::string_view a, std::string_view b) {
  const size_t shorter = std::min(a.size(), b.size());
  size_t at = 0;
  while (at < shorter && a[at] == b[at]) ++at;
  if (at == shorter) return a.size() < b.size();
  const auto rank = [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte == 0xEE || byte == 0xEF ? byte + 0x10 : byte;
  };
  return rank(a[at]) < rank(b[at]);
}

class Writer {
 public:
  enum class Style { kCompact, kPretty, kCanonical };
  Writer(Style style, std::string* out) : style_(style), out_(*out) {}

  void Write(const Json& value) {
    switch (value.type()) {
      case Json::Type::kNull:
        out_.append("null");
        return;
      case Json::Type::kBool:
        out_.append(value.boolean() ? "true" : "false");
        return;
      case Json::Type::kNumber:
        WriteNumber(value.number());
        return;
      case Json::Type::kString:
        AppendJsonString(value.string(), &out_);
        return;
      case Json::Type::kArray:
        WriteArray(value.array());
        return;
      case Json::Type::kObject:
        WriteObject(value.object());
        return;
    }
  }

 private:
  void WriteNumber(const std::string& token) {
    if (style_ == Style::kCanonical) {
      AppendCanonicalNumber(token, &out_);
    } else {
      out_.append(token);
    }
  }

  void WriteArray(const Json::Array& items) {
    out_.push_back('[');
    ++depth_;
    for (size_t i = 0; i < items.size(); ++i) {
      Separate(i);
      Write(items[i]);
    }
    Close(items.empty(), ']');
  }

  void WriteObject(const Json::Object& members) {
    out_.push_back('{');
    ++depth_;
    if (style_ == Style::kCanonical && !std::is_sorted(members.begin(), members.end(), KeyLess)) {
      std::vector<const Json::Member*> sorted;
      sorted.reserve(members.size());
      for (const Json::Member& member : members) sorted.push_back(&member);
      std::sort(sorted.begin(), sorted.end(),
                [](const auto* a, const auto* b) { return KeyLess(*a, *b); });
      for (size_t i = 0; i < sorted.size(); ++i) WriteMember(i, *sorted[i]);
    } else {
      for (size_t i = 0; i < members.size(); ++i) WriteMember(i, members[i]);
    }
    Close(members.empty(), '}');
  }

  void WriteMember(size_t index, const Json::Member& member) {
    Separate(index);
    AppendJsonString(member.first, &out_);
    out_.append(style_ == Style::kPretty ? ": " : ":");
    Write(member.second);
  }

  static bool KeyLess(const Json::Member& a, const Json::Member& b) {
    return Utf16Less(a.first, b.first);
  }

  void Separate(size_t index) {
    if (index > 0) out_.push_back(',');
    NewLine();
  }

  void Close(bool empty, char bracket) {
    --depth_;
    if (!empty) NewLine();
    out_.push_back(bracket);
  }

  void NewLine() {
    if (style_ == Style::kPretty) out_.append("\n").append(2 * depth_, ' ');
  }

  const Style style_;
  std::string& out_;
  size_t depth_ = 0;
};

}  // namespace

void AppendJsonString(std::string_view text, std::string* out) {
  out->push_back('"');
  for (size_t at = 0;;) {
    const size_t escape = FindEscape(text, at);
    out->append(text.substr(at, escape - at));
    if (escape == text.size()) break;
    AppendEscape(static_cast<unsigned char>(text[escape]), out);
    at = escape + 1;
  }
  out->push_back('"');
}

void Json::DumpTo(std::string* out) const { Writer(Writer::Style::kCompact, out).Write(*this); }

std::string Json::Dump() const {
  std::string out;
  DumpTo(&out);
  return out;
}

std::string Json::DumpPretty() const {
  std::string out;
  Writer(Writer::Style::kPretty, &out).Write(*this);
  return out;
}

void CanonicalJsonTo(const Json& value, std::string* out) {
  Writer(Writer::Style::kCanonical, out).Write(value);
}

std::string CanonicalJson(const Json& value) {
  std::string out;
  CanonicalJsonTo(value, &out);
  return out;
}

}  // namespace nimbus::schema
