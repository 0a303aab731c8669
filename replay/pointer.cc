#include "nimbus/replay/pointer.h"

#include <algorithm>
#include <charconv>

#include "nimbus/schema/status.h"

namespace nimbus::replay {

absl::StatusOr<Pointer> ParsePointer(std::string_view text) {
  Pointer tokens;
  if (!text.empty() && text.front() != '/') {
    return schema::Error(absl::StatusCode::kInvalidArgument, "a path must begin with '/'");
  }
  tokens.reserve(static_cast<size_t>(std::count(text.begin(), text.end(), '/')));
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '/') {
      const size_t end = std::min(text.find_first_of("/~", at + 1), text.size());
      tokens.emplace_back(text.substr(at + 1, end - at - 1));
      at = end - 1;
    } else if (text[at] != '~') {
      tokens.back().push_back(text[at]);
    } else {
      ++at;
      if (at == text.size() || (text[at] != '0' && text[at] != '1')) {
        return schema::Error(absl::StatusCode::kInvalidArgument,
                             "'~' must be followed by 0 or 1 in a path");
      }
      tokens.back().push_back(text[at] == '0' ? '~' : '/');
    }
  }
  return tokens;
}

std::optional<size_t> ParseIndex(std::string_view token) {
  if (token.empty() || (token.size() > 1 && token.front() == '0')) return std::nullopt;
  size_t index = 0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), index);
  if (error != std::errc{} || end != token.data() + token.size()) return std::nullopt;
  return index;
}

void AppendPointerToken(std::string_view token, std::string* pointer) {
  pointer->push_back('/');
  for (const char c : token) {
    if (c == '~' || c == '/') {
      pointer->append(c == '~' ? "~0" : "~1");
    } else {
      pointer->push_back(c);
    }
  }
}

std::string PointerText(const Pointer& pointer) {
  std::string text;
  for (const std::string& token : pointer) AppendPointerToken(token, &text);
  return text;
}

const schema::Json* FindValue(const schema::Json& document, const Pointer& pointer) {
  const schema::Json* at = &document;
  for (const std::string& token : pointer) {
    if (at->IsArray()) {
      const std::optional<size_t> index = ParseIndex(token);
      if (!index.has_value() || *index >= at->array().size()) return nullptr;
      at = &at->array()[*index];
    } else {
      at = at->Find(token);
    }
    if (at == nullptr) return nullptr;
  }
  return at;
}

}  // namespace nimbus::replay
