#include "pointer.h"

#include <algorithm>
#include <charconv>

#include "nimbus/replay/patch.h"
#include "nimbus/schema/status.h"

namespace nimbus::replay {

absl::StatusOr<std::vector<std::string>> ParsePointer(std::string_view pointer) {
  std::vector<std::string> tokens;
  if (!pointer.empty() && pointer.front() != '/') {
    return schema::Error(absl::StatusCode::kInvalidArgument, "a path must begin with '/'");
  }
  tokens.reserve(static_cast<size_t>(std::count(pointer.begin(), pointer.end(), '/')));
  for (size_t at = 0; at < pointer.size(); ++at) {
    if (pointer[at] == '/') {
      const size_t end = std::min(pointer.find_first_of("/~", at + 1), pointer.size());
      tokens.emplace_back(pointer.substr(at + 1, end - at - 1));
      at = end - 1;
    } else if (pointer[at] != '~') {
      tokens.back().push_back(pointer[at]);
    } else {
      ++at;
      if (at == pointer.size() || (pointer[at] != '0' && pointer[at] != '1')) {
        return schema::Error(absl::StatusCode::kInvalidArgument,
                             "'~' must be followed by 0 or 1 in a path");
      }
      tokens.back().push_back(pointer[at] == '0' ? '~' : '/');
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

}  // namespace nimbus::replay
