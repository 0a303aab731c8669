// Credentials as far as they are no secret: names, providers, types, when they expire
// and were used; and profiles, which say which credential of each provider to take.
// The secret itself comes sealed, encrypted by the caller, and is kept as it came.
//
//   NIMBUS_ASSIGN_OR_RETURN(Written aws, credentials.Store({
//       .name = "aws-deploy", .provider = "aws", .type = "access_key", .sealed = sealed}));
//   credentials.SaveProfile({.name = "production",
//                            .credentials = fmt::format(R"({{"aws":"{}"}})", aws.id.ToString())});
//   credentials.SetDefaultProfile("production");
//   NIMBUS_ASSIGN_OR_RETURN(auto found, credentials.Resolve("aws"));
//   NIMBUS_ASSIGN_OR_RETURN(auto sealed, credentials.GetSealed(found->id));
//
// A command returns when its event is on stable storage. It fails as
// journal::Journal::Append does, and nothing was written then (except DataLoss):
//   InvalidArgument     a name, type, JSON text or size that is not allowed
//   NotFound            there is no such credential or profile, or it was removed
//   AlreadyExists       another credential has the name
//   FailedPrecondition  another process made another profile the default meanwhile, or
//                       the journal is open read-only
//
// A query sees what the projector has applied, as those of History do; credentials need
// schema version 1, profiles version 6, else FailedPrecondition.
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/projections/history.h"
#include "nimbus/schema/id.h"

namespace nimbus::projections {

inline constexpr size_t kSealedBytesMax = 1u << 20;

// Text members are unset when empty.
struct NewCredential {
  std::string name;      // unique
  std::string provider;  // 'aws', 'gcp', 'azure', 'github', 'gitlab', or the caller's own word
  std::string type;      // 'api_key', 'access_key', 'service_account' or 'oauth'
  std::string sealed;    // UTF-8, at most kSealedBytesMax; nobody here reads it
  std::string metadata;  // JSON, no secret
  std::optional<int64_t> expires_at_us;
  std::optional<schema::Uuid> id;  // made by Store unless given
};

struct Rotation {
  std::string sealed;                    // as that of NewCredential
  std::string metadata;                  // JSON; stays as it is when unset
  std::optional<int64_t> expires_at_us;  // of the new secret; none when unset
};

// A row, without the sealed text: that is only ever read by GetSealed.
struct Credential {
  schema::Uuid id;
  std::string name, provider, type;
  std::optional<std::string> metadata;
  std::optional<int64_t> expires_at_us, last_used_at_us, created_at_us, updated_at_us;
  uint64_t sequence = 0;
  friend bool operator==(const Credential&, const Credential&) = default;
};

struct NewCredentialProfile {
  std::string name;         // an id is derived from it: saving it again changes the profile
  std::string description;  // none when unset, whatever it was before
  std::string credentials;  // JSON: {"PROVIDER": "credential id", …}
};

struct CredentialProfile {
  schema::Uuid id;
  std::string name;
  std::optional<std::string> description;
  std::string credentials;  // JSON: provider to credential id
  bool is_default = false;
  std::optional<int64_t> created_at_us;
  uint64_t sequence = 0;
  friend bool operator==(const CredentialProfile&, const CredentialProfile&) = default;
};

class Credentials {
 public:
  Credentials(journal::Journal* journal, Views* views);  // made by Database; both outlive it
  ~Credentials();
  Credentials(const Credentials&) = delete;
  Credentials& operator=(const Credentials&) = delete;

  absl::StatusOr<Written> Store(const NewCredential& credential);
  absl::StatusOr<Written> Rotate(const schema::Uuid& credential, const Rotation& rotation);
  absl::StatusOr<Written> RecordUse(const schema::Uuid& credential);
  // Frees its name. Profiles that name it go on to; Resolve says so. `reason` is
  // recorded, and required.
  absl::StatusOr<Written> Remove(const schema::Uuid& credential, const std::string& reason);

  // By name.
  absl::StatusOr<std::vector<Credential>> List(const std::optional<std::string>& provider = {});
  // Those with expires_at before `before_us`, the first to expire first.
  absl::StatusOr<std::vector<Credential>> ListExpiring(int64_t before_us);
  absl::StatusOr<std::optional<Credential>> Get(const schema::Uuid& credential);
  absl::StatusOr<std::optional<Credential>> GetByName(std::string_view name);
  // The sealed text as it was stored last. NotFound without such a row;
  // FailedPrecondition when it was erased.
  absl::StatusOr<std::string> GetSealed(const schema::Uuid& credential);

  // Each credential it names is in place and of that provider.
  absl::StatusOr<Written> SaveProfile(const NewCredentialProfile& profile);
  // At most one profile is the default. Writes nothing if it is already.
  absl::StatusOr<Written> SetDefaultProfile(std::string_view name);
  // The default one may be deleted; there is none then. `reason` is recorded, and
  // required.
  absl::StatusOr<Written> DeleteProfile(std::string_view name, const std::string& reason);

  absl::StatusOr<std::vector<CredentialProfile>> ListProfiles();  // by name
  absl::StatusOr<std::optional<CredentialProfile>> GetProfile(std::string_view name);
  absl::StatusOr<std::optional<CredentialProfile>> GetDefaultProfile();

  // The credential that the profile, or else the default one, names for `provider`.
  // NotFound, saying which, when there is no such profile, it names none, or the
  // credential was removed.
  absl::StatusOr<Credential> Resolve(std::string_view provider,
                                     const std::optional<std::string>& profile = {});

 private:
  class Rows;
  class ProfileRows;

  journal::Journal* const journal_;
  const std::unique_ptr<Rows> rows_;
  const std::unique_ptr<ProfileRows> profile_rows_;
};

}  // namespace nimbus::projections
