// Secrets that are named before a program runs, so that none of them is journaled.
//
//   NIMBUS_ASSIGN_OR_RETURN(const Secrets secrets, ReadSecrets({.variables = {"API_TOKEN"}}));
//   server_options.recorder.redact = secrets.Redaction();
//
// A secret is found as it is, as a JSON string inside of a text has it, and in base64 (of
// both alphabets, whatever stands before and behind it in what was encoded). In no other
// form: docs/protocol.md. No message of an error holds a secret.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace nimbus::tools::agent {

inline constexpr char kRedacted[] = "[redacted]";
inline constexpr size_t kSecretBytesMin = 8;
inline constexpr size_t kSecretBytesMax = 64u << 10;
inline constexpr size_t kSecretsMax = 256;

class Secrets {
 public:
  // InvalidArgument: too short or too long, no UTF-8, too many, or one that kRedacted
  // would hold. `name` is what the message calls it.
  absl::Status Add(const std::string& secret, const std::string& name);

  // Puts kRedacted in the place of what belongs to a secret. Null when there is none.
  std::function<void(std::string*)> Redaction() const;

 private:
  size_t count_ = 0;
  std::vector<std::string> forms_;
};

struct SecretSources {
  std::vector<std::string> variables;  // of the environment, by name
  std::vector<std::string> files;      // a secret a line; "-" is standard input
};

// Errors of Add; NotFound: no such variable, no such file; Unavailable: it can't be read.
absl::StatusOr<Secrets> ReadSecrets(const SecretSources& sources);

}  // namespace nimbus::tools::agent
