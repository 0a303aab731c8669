#include "tools/import/format.h"

#include <array>

namespace nimbus::tools::import {
namespace {

constexpr std::array kFormats = {
    Format{"claude-code", "Claude Code session JSONL", Source::Shape::kLines, IsClaudeCode,
           ReadClaudeCode},
    Format{"codex-rollout", "Codex rollout JSONL", Source::Shape::kLines, IsCodexRollout,
           ReadCodexRollout},
    Format{"inspect", "Inspect log (.json or .eval)", Source::Shape::kDocument, IsInspectLog,
           ReadInspectLog},
    Format{"temporal-history", "Temporal workflow history", Source::Shape::kDocument,
           IsTemporalHistory, ReadTemporalHistory},
    Format{"openhands", "OpenHands events", Source::Shape::kDocument, IsOpenHandsEvents,
           ReadOpenHandsEvents},
    Format{"openhands-output", "OpenHands output JSONL", Source::Shape::kLines, IsOpenHandsOutput,
           ReadOpenHandsOutput},
    Format{"gemini-cli", "Gemini CLI session", Source::Shape::kDocument, IsGeminiCli,
           ReadGeminiCli},
    Format{"tau-bench", "tau-bench results", Source::Shape::kDocument, IsTauBench, ReadTauBench},
    Format{"sregym-trace", "SREGym trace", Source::Shape::kDocument, IsSregymTrace,
           ReadSregymTrace},
    Format{"swe-agent", "SWE-agent trajectory", Source::Shape::kDocument, IsSweAgent, ReadSweAgent},
    Format{"mini-swe-agent", "mini-swe-agent trajectory", Source::Shape::kDocument, IsMiniSweAgent,
           ReadMiniSweAgent},
    Format{"claude-code-stream", "Claude Code's stream-json output", Source::Shape::kLines,
           IsClaudeStream, ReadClaudeStream},
    Format{"otlp-json", "OTLP/JSON traces", Source::Shape::kLines, IsOtlp, ReadOtlp},
    Format{"jaeger-json", "Jaeger traces", Source::Shape::kLines, IsJaeger, ReadJaeger},
    Format{"span-list", "list of OpenTelemetry spans", Source::Shape::kLines, IsSpanList,
           ReadSpanList},
    Format{"atif", "ATIF trajectory", Source::Shape::kDocument, IsAtif, ReadAtif},
    Format{"holmesgpt", "HolmesGPT conversation", Source::Shape::kDocument, IsHolmesGpt,
           ReadHolmesGpt},
    Format{"sregym-stratus", "SREGym Stratus trajectory", Source::Shape::kLines, IsStratus,
           ReadStratus},
    Format{"aiopslab", "AIOpsLab session", Source::Shape::kDocument, IsAiOpsLab, ReadAiOpsLab},
};

}  // namespace

std::span<const Format> Formats() { return kFormats; }

const Format* DetectFormat(const Source& source) {
  for (const Format& format : kFormats) {
    if (format.detect(source)) return &format;
  }
  return nullptr;
}

std::string FormatNames() {
  std::string names;
  for (const Format& format : kFormats) {
    if (!names.empty()) names += ", ";
    names += format.name;
  }
  return names;
}

}  // namespace nimbus::tools::import
