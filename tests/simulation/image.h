// Files as a disk may hold them after a power cut.
#pragma once

#include <map>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "simulation/contents.h"

namespace nimbus::simulation {

// Paths are relative to the directory that was recorded.
struct Image {
  std::set<std::string> directories;
  std::map<std::string, Contents> files;
  std::map<std::string, std::string> links;  // path → text
};

// Makes `directory` hold the image and nothing else.
absl::Status WriteImage(const Image& image, const std::string& directory);

}  // namespace nimbus::simulation
