#include "tools/agent/secrets.h"

#include <sodium.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <utility>

#include "nimbus/schema/json.h"
#include "nimbus/schema/status.h"
#include "tools/cli/input.h"

namespace nimbus::tools::agent {
namespace {

using schema::Error;
using Code = absl::StatusCode;

constexpr size_t kFileBytesMax = 1u << 20;

struct Range {
  size_t begin, end;
};

// As a string of JSON inside of a text has it.
std::string Escaped(std::string_view secret) {
  std::string quoted;
  schema::AppendJsonString(secret, &quoted);
  return quoted.substr(1, quoted.size() - 2);
}

// The digits that encode nothing but the secret, when `before` bytes stand in the group of
// three that it begins in.
std::string Base64Core(std::string_view secret, size_t before, int variant) {
  const std::string bytes = std::string(before, '\0') + std::string(secret);
  std::string text(sodium_base64_ENCODED_LEN(bytes.size(), variant), '\0');
  sodium_bin2base64(text.data(), text.size(), reinterpret_cast<const unsigned char*>(bytes.data()),
                    bytes.size(), variant);
  const size_t begin = (before * 8 + 5) / 6, end = bytes.size() * 8 / 6;
  return text.substr(begin, end - begin);
}

std::vector<std::string> FormsOf(const std::string& secret) {
  std::vector<std::string> forms = {secret};
  if (std::string escaped = Escaped(secret); escaped != secret) forms.push_back(std::move(escaped));
  for (const int variant :
       {sodium_base64_VARIANT_ORIGINAL_NO_PADDING, sodium_base64_VARIANT_URLSAFE_NO_PADDING}) {
    for (const size_t before : {0u, 1u, 2u}) {
      std::string core = Base64Core(secret, before, variant);
      if (std::find(forms.begin(), forms.end(), core) == forms.end()) {
        forms.push_back(std::move(core));
      }
    }
  }
  return forms;
}

std::vector<Range> FindForms(const std::vector<std::string>& forms, std::string_view text) {
  std::vector<Range> found;
  for (const std::string& form : forms) {
    for (size_t at = text.find(form); at != std::string::npos; at = text.find(form, at + 1)) {
      found.push_back({at, at + form.size()});
    }
  }
  std::sort(found.begin(), found.end(),
            [](const Range& a, const Range& b) { return a.begin < b.begin; });
  return found;
}

// What overlaps is one: nothing that belongs to a secret stays, though another one begins
// in it.
void Redact(const std::vector<std::string>& forms, std::string* text) {
  if (text->size() < kSecretBytesMin) return;  // as most texts of a document
  const std::vector<Range> found = FindForms(forms, *text);
  if (found.empty()) return;
  std::string redacted;
  size_t done = 0;
  for (size_t i = 0; i < found.size();) {
    Range range = found[i];
    while (++i < found.size() && found[i].begin <= range.end) {
      range.end = std::max(range.end, found[i].end);
    }
    redacted += std::string_view(*text).substr(done, range.begin - done);
    redacted += kRedacted;
    done = range.end;
  }
  redacted += std::string_view(*text).substr(done);
  *text = std::move(redacted);
}

absl::Status AddLines(const std::string& file, Secrets* secrets) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string text, cli::ReadInput(file, kFileBytesMax));
  size_t number = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    at = end + 1;
    ++number;
    if (line.ends_with('\r')) line.pop_back();
    if (line.empty()) continue;
    NIMBUS_RETURN_IF_ERROR(secrets->Add(line, fmt::format("{}, line {}", file, number)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Secrets::Add(const std::string& secret, const std::string& name) {
  if (secret.size() < kSecretBytesMin || secret.size() > kSecretBytesMax) {
    return Error(Code::kInvalidArgument, "{}: a secret has {} to {} bytes, this one {}", name,
                 kSecretBytesMin, kSecretBytesMax, secret.size());
  }
  std::string quoted;
  schema::AppendJsonString(secret, &quoted);
  if (!schema::ValidateJson(quoted).ok()) {
    return Error(Code::kInvalidArgument, "{}: a secret is UTF-8 text", name);
  }
  // It would be found again in what has been redacted.
  if (fmt::format("{0}{0}", kRedacted).find(secret) != std::string::npos) {
    return Error(Code::kInvalidArgument, "{}: '{}' stands for secrets, and holds this one", name,
                 kRedacted);
  }
  if (count_ == kSecretsMax) {
    return Error(Code::kInvalidArgument, "{}: more than {} secrets", name, kSecretsMax);
  }
  ++count_;
  for (std::string& form : FormsOf(secret)) forms_.push_back(std::move(form));
  return absl::OkStatus();
}

std::function<void(std::string*)> Secrets::Redaction() const {
  if (forms_.empty()) return nullptr;
  return [forms = forms_](std::string* text) { Redact(forms, text); };
}

absl::StatusOr<Secrets> ReadSecrets(const SecretSources& sources) {
  Secrets secrets;
  for (const std::string& name : sources.variables) {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) {
      return Error(Code::kNotFound, "--redact-env: no variable {} in the environment", name);
    }
    NIMBUS_RETURN_IF_ERROR(secrets.Add(value, name));
  }
  for (const std::string& file : sources.files) {
    NIMBUS_RETURN_IF_ERROR(AddLines(file, &secrets));
  }
  return secrets;
}

}  // namespace nimbus::tools::agent
