#include "tools/agent/line_reader.h"

#include <utility>

namespace nimbus::tools::agent {

void LineReader::Feed(std::string_view bytes) { pending_.append(bytes); }

std::optional<LineReader::Line> LineReader::Next() {
  const size_t end = pending_.find('\n', searched_);
  if (end == std::string::npos) {
    KeepPartial();
    return std::nullopt;
  }
  Line line;
  line.too_long = std::exchange(dropping_, false) || end - begin_ >= line_bytes_max_;
  if (!line.too_long) line.text = pending_.substr(begin_, end - begin_);
  begin_ = searched_ = end + 1;
  return line;
}

// What is left of a line that is not whole yet, unless it is too long already.
void LineReader::KeepPartial() {
  pending_.erase(0, begin_);
  begin_ = 0;
  if (dropping_ || pending_.size() >= line_bytes_max_) {
    dropping_ = true;
    pending_.clear();
  }
  searched_ = pending_.size();
}

}  // namespace nimbus::tools::agent
