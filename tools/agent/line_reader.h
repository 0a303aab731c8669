// Cuts a stream of bytes into lines, with a limit on how long one may become.
//
//   reader.Feed(bytes);
//   while (std::optional<LineReader::Line> line = reader.Next()) …
//
// Memory: one line. Thread-compatible.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace nimbus::tools::agent {

class LineReader {
 public:
  // `line_bytes_max` counts the line feed.
  explicit LineReader(size_t line_bytes_max) : line_bytes_max_(line_bytes_max) {}

  struct Line {
    std::string text;       // without its line feed; empty if it was too long
    bool too_long = false;  // its bytes were dropped
  };

  void Feed(std::string_view bytes);
  // The next whole line; nullopt until there is one. To be called until then after each
  // Feed, so that no more than a line is kept.
  std::optional<Line> Next();

  // Whether bytes of a line came whose line feed did not.
  bool incomplete() const { return pending_.size() > begin_ || dropping_; }

 private:
  void KeepPartial();

  size_t line_bytes_max_;
  std::string pending_;  // what was fed; up to `begin_` it has been handed out
  size_t begin_ = 0;
  size_t searched_ = 0;  // no line feed between the two
  bool dropping_ = false;
};

}  // namespace nimbus::tools::agent
