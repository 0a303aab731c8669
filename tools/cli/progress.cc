#include "tools/cli/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <utility>

#include "tools/cli/terminal.h"

namespace nimbus::tools::cli {
namespace {

constexpr std::chrono::milliseconds kQuiet{1000};
constexpr std::chrono::milliseconds kBetweenDraws{100};
constexpr uint64_t kBarWidth = 30;
constexpr char kEraseLine[] = "\r\x1b[K";

}  // namespace

Progress::Progress(std::string what)
    : what_(std::move(what)),
      enabled_(IsTerminal(std::cerr)),
      begun_(Clock::now()),
      drawn_(begun_) {}

Progress::~Progress() {
  if (visible_) std::cerr << kEraseLine << std::flush;
}

void Progress::Update(uint64_t done, uint64_t total) {
  if (!enabled_) return;
  const Clock::time_point now = Clock::now();
  if (now - begun_ < kQuiet || now - drawn_ < kBetweenDraws) return;
  drawn_ = now;
  visible_ = true;
  const uint64_t shown = std::min(done, total);
  const uint64_t full = total == 0 ? 0 : kBarWidth * shown / total;
  const uint64_t percent = total == 0 ? 0 : 100 * shown / total;
  std::cerr << kEraseLine
            << fmt::format("{} [{:<{}}] {:3}% {}/{}", OneLine(what_, 40), std::string(full, '#'),
                           kBarWidth, percent, done, total)
            << std::flush;
}

}  // namespace nimbus::tools::cli
