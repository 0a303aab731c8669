// A conversation of chat messages, given one by one, as the steps of an
// operation: for recordings in which each message is one object.
//
//   ChatSteps chat(&operation);
//   chat.Hear(system);                          // before anything is asked
//   chat.Prompt("message-1", user);
//   chat.Answer("message-2", assistant).usage.output = 38;
//   chat.Call("message-2-call-0", {.id = "c1", .tool = "bash", .input = arguments});
//   if (Step* call = chat.Result("c1", tool_message)) call->output = …;
//
// What is heard becomes part of the next step, so that the state's /messages is
// the conversation as it was said.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "nimbus/schema/json.h"
#include "tools/import/run.h"

namespace nimbus::tools::import {

struct ChatCall {
  std::string id;  // the model's own; empty when it has none
  std::string tool;
  schema::Json input;
};

// One thread. The operation must outlive it, and only it adds steps.
class ChatSteps {
 public:
  explicit ChatSteps(Operation* operation) : operation_(*operation) {}

  // The source record that the following messages stand in; 0 at first.
  void SetRecord(uint64_t record) { record_ = record; }

  void Hear(schema::Json message) { heard_.push_back(std::move(message)); }
  // A completed user_input, with what was heard before it.
  void Prompt(std::string source_id, schema::Json message);
  // A completed llm_call whose output is the message. The reference lasts until
  // the next step.
  Step& Answer(std::string source_id, schema::Json message);
  // A tool_call that waits for Result.
  void Call(std::string source_id, ChatCall call);
  // Completes the call of this id or, without one, the first that waits, with
  // the message as its output; nullptr when none does.
  Step* Result(std::string_view call_id, const schema::Json& message);

  bool answered() const { return answered_; }
  bool waiting() const { return !waiting_.empty(); }

 private:
  struct Waiting {
    size_t step = 0;
    std::string id;
  };

  Step& Add(schema::fb::StepType type, std::string source_id);

  Operation& operation_;
  uint64_t record_ = 0;
  std::vector<schema::Json> heard_;
  std::vector<Waiting> waiting_;
  bool answered_ = false;
};

}  // namespace nimbus::tools::import
