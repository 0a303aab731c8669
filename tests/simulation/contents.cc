#include "simulation/contents.h"

#include <algorithm>

namespace nimbus::simulation {

Contents::Page& Contents::Own(size_t page) {
  if (page >= pages_.size()) pages_.resize(page + 1);
  std::shared_ptr<Page>& owned = pages_[page];
  if (owned == nullptr) {
    owned = std::make_shared<Page>(Page{});
  } else if (owned.use_count() > 1) {
    owned = std::make_shared<Page>(*owned);
  }
  return *owned;
}

void Contents::Write(uint64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t within = offset % kPageBytes;
    const std::string_view piece = bytes.substr(0, kPageBytes - within);
    const size_t page = offset / kPageBytes;
    const bool is_null = page >= pages_.size() || pages_[page] == nullptr;
    if (!is_null || piece.find_first_not_of('\0') != piece.npos) {
      std::copy(piece.begin(), piece.end(), Own(page).begin() + within);
    }
    offset += piece.size();
    bytes.remove_prefix(piece.size());
  }
}

void Contents::ZeroFrom(uint64_t offset) {
  const size_t page = offset / kPageBytes;
  if (page >= pages_.size()) return;
  pages_.resize(page + 1);
  if (pages_[page] == nullptr) return;
  Page& last = Own(page);
  std::fill(last.begin() + offset % kPageBytes, last.end(), '\0');
}

std::string Contents::ToString() const {
  std::string bytes;
  bytes.reserve(size_ + kPageBytes);
  for (const std::shared_ptr<Page>& page : pages_) {
    page == nullptr ? bytes.append(kPageBytes, '\0') : bytes.append(page->data(), kPageBytes);
  }
  bytes.resize(size_);
  return bytes;
}

}  // namespace nimbus::simulation
