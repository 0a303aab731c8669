// The bytes of a file, in pages that copies share until one of them writes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace nimbus::simulation {

class Contents {
 public:
  static constexpr size_t kPageBytes = 4096;
  using Page = std::array<char, kPageBytes>;

  uint64_t size() const { return size_; }
  // Neither of these changes the size; what lies beyond it is not there.
  void Write(uint64_t offset, std::string_view bytes);
  void ZeroFrom(uint64_t offset);

  void set_size(uint64_t size) { size_ = size; }

  std::string ToString() const;
  // Pages that are all zeros may be null; there may be fewer than the size asks for.
  const std::vector<std::shared_ptr<Page>>& pages() const { return pages_; }

 private:
  Page& Own(size_t page);

  std::vector<std::shared_ptr<Page>> pages_;
  uint64_t size_ = 0;
};

}  // namespace nimbus::simulation
