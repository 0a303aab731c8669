#include "tools/cli/spawn.h"

#include <spawn.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "absl/status/status.h"

extern char** environ;

namespace nimbus::tools::cli {
namespace {

std::string_view NameOf(std::string_view assignment) {
  return assignment.substr(0, assignment.find('='));
}

// Our environment, with `changes` in the place of what has their names.
std::vector<std::string> ChangedEnvironment(const std::vector<std::string>& changes) {
  std::vector<std::string> environment = changes;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const bool changed =
        std::any_of(changes.begin(), changes.end(),
                    [&](const std::string& change) { return NameOf(change) == NameOf(*entry); });
    if (!changed) environment.emplace_back(*entry);
  }
  return environment;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// What a new program expects of its signals, and the files it is given.
class Setup {
 public:
  explicit Setup(const SpawnOptions& options) {
    posix_spawn_file_actions_init(&actions_);
    // A descriptor onto itself: that takes close-on-exec off in the program alone.
    for (const auto& [ours, theirs] : options.descriptors) {
      posix_spawn_file_actions_adddup2(&actions_, ours, theirs);
    }
    posix_spawnattr_init(&attributes_);
    sigset_t defaults;
    sigemptyset(&defaults);
    for (const int signal : {SIGINT, SIGTERM, SIGPIPE, SIGXFSZ}) sigaddset(&defaults, signal);
    posix_spawnattr_setsigdefault(&attributes_, &defaults);
    posix_spawnattr_setsigmask(&attributes_, &options.signal_mask);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  }
  ~Setup() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  Setup(const Setup&) = delete;
  Setup& operator=(const Setup&) = delete;

  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

}  // namespace

absl::StatusOr<pid_t> Spawn(SpawnOptions options) {
  std::vector<std::string> environment = ChangedEnvironment(options.environment);
  const Setup setup(options);
  pid_t pid = -1;
  const int error =
      posix_spawnp(&pid, options.argv.front().c_str(), setup.actions(), setup.attributes(),
                   Pointers(options.argv).data(), Pointers(environment).data());
  if (error == 0) return pid;
  return absl::ErrnoToStatus(error, "cannot run " + options.argv.front());
}

}  // namespace nimbus::tools::cli
