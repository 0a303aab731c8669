#include "tools/agent/secrets.h"

#include <sodium.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

#include "nimbus/schema/check.h"
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

// Where forms begin in a text, in one pass over it however many there are: by their first
// bytes, of which a filter knows that most places have others.
class Forms {
 public:
  explicit Forms(const std::vector<std::string>& forms) : filter_(kFilterSize) {
    for (const std::string& form : forms) {
      NIMBUS_CHECK(form.size() >= kSecretBytesMin);
      forms_.push_back({PrefixAt(form, 0), form});
      filter_[SlotOf(forms_.back().prefix)] = true;
    }
    // Of those that begin alike the longest first.
    std::sort(forms_.begin(), forms_.end(), [](const Form& a, const Form& b) {
      return a.prefix != b.prefix ? a.prefix < b.prefix : a.text.size() > b.text.size();
    });
  }

  // The next place where one begins, with the end of the longest; none from there on: the
  // end of the text.
  Range Find(std::string_view text, size_t from) const {
    for (; from + sizeof(Prefix) <= text.size(); ++from) {
      const Prefix prefix = PrefixAt(text, from);
      if (!filter_[SlotOf(prefix)]) continue;
      const auto first = std::lower_bound(forms_.begin(), forms_.end(), prefix,
                                          [](const Form& a, Prefix b) { return a.prefix < b; });
      for (auto form = first; form != forms_.end() && form->prefix == prefix; ++form) {
        if (text.substr(from).starts_with(form->text)) return {from, from + form->text.size()};
      }
    }
    return {text.size(), text.size()};
  }

 private:
  using Prefix = uint64_t;
  static_assert(sizeof(Prefix) <= kSecretBytesMin);
  static constexpr int kFilterBits = 16;
  static constexpr size_t kFilterSize = size_t{1} << kFilterBits;

  struct Form {
    Prefix prefix = 0;
    std::string text;
  };

  static Prefix PrefixAt(std::string_view text, size_t at) {
    Prefix prefix;
    std::memcpy(&prefix, text.data() + at, sizeof(prefix));
    return prefix;
  }

  static size_t SlotOf(Prefix prefix) {
    constexpr Prefix kOdd = 0x9e3779b97f4a7c15;  // spreads every byte over the upper bits
    return (prefix * kOdd) >> (8 * sizeof(Prefix) - kFilterBits);
  }

  std::vector<Form> forms_;
  std::vector<bool> filter_;  // whether a form may have a prefix of this slot
};

// What overlaps is one: nothing that belongs to a secret stays, though another one begins
// in it.
void Redact(const Forms& forms, std::string* text) {
  Range found = forms.Find(*text, 0);
  if (found.begin == text->size()) return;
  std::string redacted;
  size_t done = 0;
  while (found.begin < text->size()) {
    Range range = found;
    for (found = forms.Find(*text, range.begin + 1);
         found.begin < text->size() && found.begin <= range.end;
         found = forms.Find(*text, found.begin + 1)) {
      range.end = std::max(range.end, found.end);
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
  return [forms = Forms(forms_)](std::string* text) { Redact(forms, text); };
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
