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
  // Every string, number and member name. A number that changes becomes a string; members
  // whose names become equal become one.
  void Value(schema::Json* value) const;
  // Of a JSON Patch also the names that its paths go by.
  void Patch(schema::Json* patch) const;
  // The same, of a JSON text, which may be empty. InvalidArgument when it is no JSON.
  absl::Status JsonText(std::string* text) const;

 private:
  void RedactPath(schema::Json* path) const;

  Function function_;
};

}  // namespace nimbus::replay
