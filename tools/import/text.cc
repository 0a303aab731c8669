#include "tools/import/text.h"

#include <span>

#include "nimbus/schema/digest.h"
#include "nimbus/schema/event.h"
#include "nimbus/schema/saturate.h"

namespace nimbus::tools::import {
namespace {

// The longest beginning of at most `bytes_max` bytes that ends between characters.
std::string_view CutUtf8(std::string_view text, size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  size_t end = bytes_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

template <typename T>
void AddTo(const std::optional<T>& part, std::optional<T>* sum) {
  if (part) *sum = schema::SaturatedSum(sum->value_or(0), *part);
}

}  // namespace

std::optional<uint64_t> UintMember(const schema::Json& object, std::string_view key) {
  const schema::Json* value = object.Find(key);
  if (value == nullptr) return std::nullopt;
  const std::optional<int64_t> number = value->AsInt();
  if (!number || *number < 0) return std::nullopt;
  return static_cast<uint64_t>(*number);
}

std::string Headline(std::string_view text, size_t bytes_max) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  text.remove_prefix(begin);
  text = CutUtf8(text.substr(0, text.find_first_of("\r\n")), bytes_max);
  return std::string(text.substr(0, text.find_last_not_of(" \t") + 1));
}

std::string ToolName(std::string_view name) {
  std::string result(CutUtf8(name, schema::kNameBytesMax));
  for (char& c : result) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  }
  return result;
}

std::string ShortDigest(std::string_view text) {
  const schema::Digest digest = schema::Blake2b256(text);
  return schema::ToHex(std::span(digest).first(8));
}

std::optional<uint64_t> SumOf(const Usage& usage) {
  std::optional<uint64_t> sum;
  for (const auto& part : {usage.input, usage.output, usage.cache_read, usage.cache_write})
    AddTo(part, &sum);
  return sum;
}

void AddUsage(const Usage& part, Usage* sum) {
  AddTo(part.total, &sum->total);
  AddTo(part.input, &sum->input);
  AddTo(part.output, &sum->output);
  AddTo(part.cache_read, &sum->cache_read);
  AddTo(part.cache_write, &sum->cache_write);
  AddTo(part.cost_microdollars, &sum->cost_microdollars);
}

}  // namespace nimbus::tools::import
