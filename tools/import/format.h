// The recordings that can be imported: one reader each, in a file of its own.
//
//   const Format* format = DetectFormat(source);
//   if (format == nullptr) return UnknownFormat(source);
//   NIMBUS_ASSIGN_OR_RETURN(const Run run, format->read(source));
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tools/import/run.h"
#include "tools/import/source.h"

namespace nimbus::tools::import {

struct Format {
  std::string_view name;
  std::string_view description;
  // Lines: a longer snapshot of the source begins with the same records.
  // Document: every snapshot is one record of its own.
  Source::Shape shape = Source::Shape::kLines;
  // Whether the source is of this format. Looks at what the records hold, never
  // at the file's name, and claims only what `read` understands: at most one
  // format says yes.
  bool (*detect)(const Source& source);
  // Requires detect(source). InvalidArgument names the line (or, in a document,
  // the member) that breaks the format's own rules; unknown record types and
  // members are no error.
  absl::StatusOr<Run> (*read)(const Source& source);
};

// Every format, the most specific first.
std::span<const Format> Formats();

// The first format that claims the source; nullptr when none does.
const Format* DetectFormat(const Source& source);

// "a, b, c": the names of all formats, for messages.
std::string FormatNames();

// One file each.
bool IsClaudeCode(const Source& source);
absl::StatusOr<Run> ReadClaudeCode(const Source& source);
bool IsCodexRollout(const Source& source);
absl::StatusOr<Run> ReadCodexRollout(const Source& source);
bool IsInspectLog(const Source& source);
absl::StatusOr<Run> ReadInspectLog(const Source& source);
bool IsTemporalHistory(const Source& source);
absl::StatusOr<Run> ReadTemporalHistory(const Source& source);
bool IsOpenHandsEvents(const Source& source);
absl::StatusOr<Run> ReadOpenHandsEvents(const Source& source);
bool IsOpenHandsOutput(const Source& source);
absl::StatusOr<Run> ReadOpenHandsOutput(const Source& source);
bool IsGeminiCli(const Source& source);
absl::StatusOr<Run> ReadGeminiCli(const Source& source);
bool IsTauBench(const Source& source);
absl::StatusOr<Run> ReadTauBench(const Source& source);
bool IsSregymTrace(const Source& source);
absl::StatusOr<Run> ReadSregymTrace(const Source& source);
bool IsSweAgent(const Source& source);
absl::StatusOr<Run> ReadSweAgent(const Source& source);
bool IsMiniSweAgent(const Source& source);
absl::StatusOr<Run> ReadMiniSweAgent(const Source& source);
bool IsClaudeStream(const Source& source);
absl::StatusOr<Run> ReadClaudeStream(const Source& source);
bool IsOtlp(const Source& source);
absl::StatusOr<Run> ReadOtlp(const Source& source);
bool IsJaeger(const Source& source);
absl::StatusOr<Run> ReadJaeger(const Source& source);
bool IsSpanList(const Source& source);
absl::StatusOr<Run> ReadSpanList(const Source& source);
bool IsAtif(const Source& source);
absl::StatusOr<Run> ReadAtif(const Source& source);
bool IsHolmesGpt(const Source& source);
absl::StatusOr<Run> ReadHolmesGpt(const Source& source);
bool IsStratus(const Source& source);
absl::StatusOr<Run> ReadStratus(const Source& source);
bool IsAiOpsLab(const Source& source);
absl::StatusOr<Run> ReadAiOpsLab(const Source& source);

}  // namespace nimbus::tools::import
