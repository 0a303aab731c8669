// Applies RecorderOptions::redact to what an agent hands in. Private to the Recorder.
#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "nimbus/schema/json.h"

namespace nimbus::replay {

class Redactor {
 public:
  using Function = std::function<void(std::string*)>;
  explicit Redactor(Function function) : function_(std::move(function)) {}

  void Text(std::string* text) const;
  // Every string value and member name. Members whose names become equal become one.
  void Value(schema::Json* value) const;
  // The same, of a JSON text, which may be empty. InvalidArgument when it is no JSON.
  absl::Status JsonText(std::string* text) const;

 private:
  Function function_;
};

}  // namespace nimbus::replay
