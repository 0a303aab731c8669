// Makes images of a trace and judges them, in a process of its own, since what a
// power cut leaves may be the end of it.
//
//   simulation_judge TRACE every=SEED | some=COUNT,SEED [from=N] [to=N] [keep=DIR]
//                    [ignore=NAME] [forget=NAME] [early=N]
//
// every: each cut of the trace; some: by chance (cases.h). from, to: only the
// images with these numbers. keep: the last image is left in DIR. The others make
// it the trace of a journal that is wrong. ignore: the syncs of files called NAME,
// or "all", do nothing; forget: from when the store was made on; early: it
// acknowledges N records of the trace before it did.
//
// Prints for each image "image N", and when it is bad, "bad N: …"; last "judged N".
// Exits with 0, whatever it found.
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nimbus/schema/check.h"
#include "nimbus/schema/status.h"
#include "simulation/cases.h"
#include "simulation/check.h"
#include "simulation/mapped.h"
#include "testing/files.h"

namespace nimbus::simulation {
namespace {
namespace fs = std::filesystem;

// What is left of a journal without syncs may lead around in circles.
constexpr unsigned kImageSecondsMax = 120;

struct Settings {
  std::string trace;
  std::optional<uint64_t> every;
  uint64_t count = 0, seed = 0;
  uint64_t from = 0, to = ~uint64_t{0}, early = 0;
  std::string ignore, forget, keep;
};

uint64_t Number(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  NIMBUS_CHECK(error == std::errc() && end == text.data() + text.size());
  return value;
}

Settings ParseArguments(const std::vector<std::string>& arguments) {
  Settings settings{.trace = arguments.at(0)};
  for (size_t i = 1; i < arguments.size(); ++i) {
    const size_t equals = arguments[i].find('=');
    NIMBUS_CHECK(equals != std::string::npos);
    const std::string name = arguments[i].substr(0, equals),
                      value = arguments[i].substr(equals + 1);
    const size_t comma = value.find(',');
    if (name == "every") settings.every = Number(value);
    if (name == "some") {
      NIMBUS_CHECK(comma != std::string::npos);
      settings.count = Number(value.substr(0, comma));
      settings.seed = Number(value.substr(comma + 1));
    }
    if (name == "from") settings.from = Number(value);
    if (name == "to") settings.to = Number(value);
    if (name == "early") settings.early = Number(value);
    if (name == "ignore") settings.ignore = value;
    if (name == "forget") settings.forget = value;
    if (name == "keep") settings.keep = value;
  }
  return settings;
}

// The syncs of files called `name`, from the record `from` on.
Disk::Ignored IgnoredBy(const std::string& name, size_t from) {
  if (name.empty()) return nullptr;
  return [name, from](const Op& op) {
    return op.begin >= from && (name == "all" || fs::path(op.path).filename() == name);
  };
}

// The one directory of a trace that holds a store.
std::string StoreIn(const std::string& directory) { return directory + "/store"; }

// In memory where there is a file system for that: nothing here has to last.
std::string MakeDirectory() {
  for (const char* parent : {"/dev/shm", "/tmp"}) {
    std::string name = std::string(parent) + "/nimbus-image-XXXXXX";
    if (mkdtemp(name.data()) != nullptr) return name;
  }
  return "";
}

struct Subject {
  Trace trace;
  Claims claims;
  Records written;
};

// The journal as it was when nothing happened to it tells what was written.
absl::StatusOr<Subject> ReadSubject(const std::string& path, const std::string& directory) {
  Subject subject;
  NIMBUS_ASSIGN_OR_RETURN(subject.trace, ReadTrace(path));
  NIMBUS_ASSIGN_OR_RETURN(subject.claims, ParseClaims(subject.trace));
  Disk disk(subject.trace);
  disk.AdvanceTo(subject.trace.records());
  NIMBUS_RETURN_IF_ERROR(WriteImage(disk.MakeImage([](const Slot&) { return true; }), directory));
  NIMBUS_ASSIGN_OR_RETURN(subject.written, ReadRecords(StoreIn(directory), subject.claims));
  return subject;
}

// What printf buffers would be lost with the process.
void Print(const std::string& line) {
  NIMBUS_CHECK(write(STDOUT_FILENO, line.data(), line.size()) == static_cast<ssize_t>(line.size()));
}

absl::Status Judge(const Settings& settings, const std::string& directory) {
  NIMBUS_ASSIGN_OR_RETURN(Subject subject, ReadSubject(settings.trace, directory));
  for (Acknowledgement& ack : subject.claims.acknowledgements) {
    ack.at -= std::min<uint64_t>(ack.at, settings.early);
  }
  const Trace& trace = subject.trace;
  const Disk::Ignored ignored = settings.forget.empty()
                                    ? IgnoredBy(settings.ignore, 0)
                                    : IgnoredBy(settings.forget, subject.claims.opened_at);
  const std::vector<Case> cases = settings.every.has_value()
                                      ? EveryCase(trace, ignored, *settings.every)
                                      : SomeCases(trace, settings.count, settings.seed);
  Disk disk(trace, ignored);
  uint64_t judged = 0;
  for (uint64_t i = settings.from; i < std::min<uint64_t>(settings.to, cases.size()); ++i) {
    Print(fmt::format("image {}\n", i));
    alarm(kImageSecondsMax);
    const Case& power_cut = cases[i];
    disk.AdvanceTo(power_cut.cut);
    Image image = disk.MakeImage([&](const Slot& slot) { return IsThere(power_cut, slot); });
    GuessMapped(trace, power_cut.cut, power_cut.seed + i, &image);
    NIMBUS_RETURN_IF_ERROR(WriteImage(image, directory));
    if (!settings.keep.empty()) NIMBUS_RETURN_IF_ERROR(WriteImage(image, settings.keep));
    const Needed needed = NeededAt(trace, subject.claims, power_cut.cut);
    const absl::Status status = CheckStore(StoreIn(directory), needed, subject.written);
    if (!status.ok())
      Print(fmt::format("bad {}: {}: {}\n", i, power_cut.ToString(), status.ToString()));
    ++judged;
  }
  Print(fmt::format("judged {}\n", judged));
  return absl::OkStatus();
}

}  // namespace
}  // namespace nimbus::simulation

int main(int argc, char** argv) {
  namespace sim = nimbus::simulation;
  const sim::Settings settings = sim::ParseArguments({argv + 1, argv + argc});
  const std::string directory = sim::MakeDirectory();
  const absl::Status status = sim::Judge(settings, directory);
  std::error_code ignored;  // what is left behind is in a directory for such
  std::filesystem::remove_all(directory, ignored);
  if (!status.ok()) sim::Print(fmt::format("error {}\n", status.ToString()));
  return static_cast<int>(status.code());
}
