#include "tools/nimbus-replay/report.h"

namespace nimbus::tools {

using schema::fb::ReplayVerdict;

std::string_view VerdictText(ReplayVerdict verdict) {
  switch (verdict) {
    case ReplayVerdict::holds:
      return "reproduced";
    case ReplayVerdict::diverges:
      return "diverged";
    case ReplayVerdict::incomplete:
      return "incomplete";
  }
  return "";
}

cli::Style VerdictStyle(ReplayVerdict verdict) {
  switch (verdict) {
    case ReplayVerdict::holds:
      return cli::Style::kGood;
    case ReplayVerdict::diverges:
      return cli::Style::kBad;
    case ReplayVerdict::incomplete:
      return cli::Style::kWarn;
  }
  return cli::Style::kPlain;
}

cli::ExitCode VerdictCode(ReplayVerdict verdict) {
  switch (verdict) {
    case ReplayVerdict::holds:
      return cli::kHolds;
    case ReplayVerdict::diverges:
      return cli::kProvenWrong;
    case ReplayVerdict::incomplete:
      return cli::kNotEnoughEvidence;
  }
  return cli::kIoError;
}

void PrintWhyNot(const replay::ReplayReport& report) {
  if (report.divergence.has_value()) {
    cli::Print("  {}\n", report.divergence->ToString());
    if (report.divergence->difference.has_value()) {
      cli::Print("  recorded -> replayed, at record {}:\n{}\n",
                 report.divergence->difference_sequence.value_or(report.divergence->sequence),
                 report.divergence->difference->DumpPretty());
    }
  }
  if (report.missing.has_value()) cli::Print("  {}\n", report.missing->ToString());
  if (report.resumed_at.has_value()) {
    cli::Print("  went on from record {}; {} steps were not replayed\n", *report.resumed_at,
               report.steps_skipped);
  }
}

void AddVerifyFlags(CLI::App* command, bool* strict, bool* receipt) {
  command->add_flag("--strict", *strict,
                    "Check every body, and miss what a complete recording has: ends and digests");
  command->add_flag("--receipt", *receipt,
                    "Put on record what came of it (an event of the operation, which has ended)");
}

}  // namespace nimbus::tools
