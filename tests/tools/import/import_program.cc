// Imports a file into a store: import_program STORE FILE. For tests that kill
// it, or run several at once. Prints the number of events appended.
#include <cstdio>

#include "tools/import/importer.h"

int main(int argc, char** argv) {
  if (argc != 3) return 64;
  const auto journal = nimbus::journal::Journal::Open(argv[1], {});
  if (!journal.ok()) {
    std::fprintf(stderr, "%s\n", journal.status().ToString().c_str());
    return 74;
  }
  const auto report = nimbus::tools::import::ImportFile(**journal, argv[2], {});
  if (!report.ok()) {
    std::fprintf(stderr, "%s\n", report.status().ToString().c_str());
    return 65;
  }
  std::printf("%llu\n", static_cast<unsigned long long>(report->events));
  return 0;
}
