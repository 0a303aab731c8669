// Damage to the files of a closed journal, and what the child program finds then.
#pragma once

#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "testing/files.h"
#include "testing/random.h"

namespace nimbus::journal {

// The first generation of a store as it was closed, so that it can be damaged
// over and over.
class ClosedFiles {
 public:
  using Contents = std::map<std::string, std::string>;

  explicit ClosedFiles(const std::string& store)
      : directory_(std::filesystem::path(store) / "journal-1") {
    for (const char* name : {"data.mdb", "wal", "wal.state"}) {
      files_[name] = *test::ReadFile(directory_ / name);
    }
  }
  const std::string& operator[](const std::string& name) const { return files_.at(name); }

  // Writes them as they were, but for `others`; false when that fails.
  bool Restore(const Contents& others) const {
    for (const auto& [name, bytes] : files_) {
      const auto other = others.find(name);
      if (!test::WriteFile(directory_ / name, other == others.end() ? bytes : other->second)) {
        return false;
      }
    }
    return true;
  }

 private:
  std::filesystem::path directory_;
  Contents files_;
};

inline std::string FlipBit(std::string* bytes, size_t offset, test::SeededRandom* random) {
  (*bytes)[offset] = static_cast<char>((*bytes)[offset] ^ (1 << random->Below(8)));
  return fmt::format("bit flipped at {}", offset);
}

// Changes something at `offset`, as a disk may that holds what begins with `used`
// bytes in pages. Says what.
inline std::string Damage(std::string* bytes, size_t offset, size_t used, size_t page_bytes,
                          test::SeededRandom* random) {
  constexpr size_t kSectorBytes = 512;
  const size_t sector = offset / kSectorBytes * kSectorBytes;
  const size_t page = offset / page_bytes * page_bytes;
  switch (random->Below(4)) {
    case 0:
      return FlipBit(bytes, offset, random);
    case 1:
      for (size_t i = offset; i < std::min(offset + 8, bytes->size()); ++i) {
        (*bytes)[i] = static_cast<char>((*random)());
      }
      return fmt::format("bytes changed at {}", offset);
    case 2:
      bytes->replace(sector, kSectorBytes, kSectorBytes, '\0');
      return fmt::format("sector zeroed at {}", sector);
    default:
      const std::string copied = bytes->substr(page, page_bytes);
      bytes->replace(random->Below(used / page_bytes) * page_bytes, page_bytes, copied);
      return fmt::format("page at {} written over another", page);
  }
}

// What the child says of each record that it could read.
inline std::vector<std::string> RecordLines(const std::string& out) {
  std::vector<std::string> lines;
  std::istringstream in(out);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("record ")) lines.push_back(line);
  }
  return lines;
}

}  // namespace nimbus::journal
