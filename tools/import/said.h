// What a step's JSON says in words, for exports to formats that have words
// only. Every importer, and every agent that records, writes its own shape; this
// knows the members and blocks that they and the models' APIs use.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "nimbus/schema/json.h"
#include "tools/import/run.h"

namespace nimbus::tools::import {

// `json` parsed; null when it is empty.
schema::Json JsonOf(const std::string& json);

// The words of a message, or of what a tool gave back; empty when there are none.
std::string TextOf(const schema::Json& value);
// What was thought and not said.
std::string ReasoningOf(const schema::Json& value);

// The words of a tool's result: its error when it has no output, its JSON when
// that has no words.
std::string ResultText(const Step& step);

// The id that the model gave a call of a tool; the step's own when it is not recorded.
std::string CallIdOf(const Step& step);
// The model that answered or was asked; empty when neither is recorded.
std::string StepModel(const Step& step);

// All tokens of the input, those from and into the cache as well.
std::optional<uint64_t> PromptTokens(const Usage& usage);

// "2026-01-10T21:39:35.285000Z".
std::string IsoTime(int64_t micros);

}  // namespace nimbus::tools::import
