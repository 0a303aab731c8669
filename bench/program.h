// What all benchmark programs have in common: their options, a directory of
// their own on the disk to be measured, a table to print, a file to write.
//
//   int main(int argc, char** argv) {
//     Program program("scan_bench", "Reading a journal that is in no cache.");
//     uint64_t operations = 8000;
//     program.app().add_option("--operations", operations, "…");
//     return program.Main(argc, argv, [&](const Setup& setup) { return Measure(setup, operations);
//     });
//   }
#pragma once

#include <CLI/CLI.hpp>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "bench/result.h"

namespace nimbus::bench {

struct Setup {
  std::filesystem::path directory;  // empty, and removed with what is in it
  size_t rounds = 5;
  uint64_t seed = 1;
  bool quick = false;  // so little work that it shows only that the program works
};

class Program {
 public:
  Program(std::string name, std::string about);

  // To add more options to.
  CLI::App& app() { return app_; }

  // Called with the options parsed: a result of its own instead of a measurement,
  // for a program that starts itself as another process.
  void RunInstead(std::function<std::optional<absl::Status>(uint64_t seed)> run_instead) {
    run_instead_ = std::move(run_instead);
  }

  // Parses, measures, prints and writes. Returns the exit code: 0, 64 for a
  // usage error, 74 when the measurement failed. A missed aim is no failure.
  int Main(int argc, char** argv,
           const std::function<absl::StatusOr<Results>(const Setup&)>& measure);

 private:
  int Fail(const absl::Status& status) const;
  absl::Status MeasureAndReport(
      const std::function<absl::StatusOr<Results>(const Setup&)>& measure);

  const std::string name_;
  CLI::App app_;
  Setup setup_;
  std::string directory_;
  std::string json_;
  bool in_memory_ = false;
  std::function<std::optional<absl::Status>(uint64_t seed)> run_instead_;
};

}  // namespace nimbus::bench
