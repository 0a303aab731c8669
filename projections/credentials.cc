#include "nimbus/projections/credentials.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "credential_rows.h"
#include "nimbus/journal/reader.h"
#include "nimbus/schema/entity_id.h"
#include "nimbus/schema/json.h"
#include "view_reader.h"

namespace nimbus::projections {
namespace {

namespace fb = schema::fb;
using fb::EntityKind;
using journal::Standing;
using schema::Error;
using schema::Event;
using schema::Json;
using schema::MakeEvent;
using schema::Uuid;
using Code = absl::StatusCode;

constexpr auto kTypes =
    std::to_array<std::string_view>({"api_key", "access_key", "service_account", "oauth"});
constexpr std::string_view kErasedBegin = R"({"$erased":)";

absl::Status CheckType(std::string_view type) {
  if (std::find(kTypes.begin(), kTypes.end(), type) != kTypes.end()) return absl::OkStatus();
  return Error(Code::kInvalidArgument,
               "'{}' is no type of credential; api_key, access_key, service_account and oauth are",
               type);
}

absl::Status CheckSealed(std::string_view sealed) {
  if (sealed.empty()) return Error(Code::kInvalidArgument, "sealed: is required");
  if (sealed.size() <= kSealedBytesMax) return absl::OkStatus();
  return Error(Code::kInvalidArgument, "sealed: {} bytes, {} are allowed", sealed.size(),
               kSealedBytesMax);
}

absl::Status CheckReason(std::string_view reason) {
  return reason.empty() ? Error(Code::kInvalidArgument, "reason: is required") : absl::OkStatus();
}

absl::StatusOr<Written> Append(journal::Journal* journal, const Event& event) {
  NIMBUS_ASSIGN_OR_RETURN(const journal::Appended appended, journal->Append(event));
  return Written{.id = event.stream, .sequence = appended.first};
}

absl::StatusOr<journal::EntityState> RequireInPlace(const journal::Journal& journal,
                                                    EntityKind kind, const Uuid& id,
                                                    std::string_view called) {
  NIMBUS_ASSIGN_OR_RETURN(const auto state, journal.FindEntity(kind, id));
  const std::string_view noun =
      kind == EntityKind::credential ? "credential" : "credential profile";
  if (!state.has_value()) return Error(Code::kNotFound, "there is no {} {}", noun, called);
  if (static_cast<Standing>(state->state) == Standing::kRemoved) {
    return Error(Code::kNotFound, "{} {} has been removed", noun, called);
  }
  return *state;
}

struct Label {
  std::string name, provider;
};

// What the credential was stored as, which never changes.
absl::StatusOr<Label> LabelOf(const journal::Journal& journal, const Uuid& id) {
  NIMBUS_ASSIGN_OR_RETURN(const journal::EntityState state,
                          RequireInPlace(journal, EntityKind::credential, id, id.ToString()));
  journal::Reader reader(journal);
  NIMBUS_ASSIGN_OR_RETURN(const journal::RecordView* view, reader.Read(state.first_sequence));
  const auto* stored = view->record->event_as_CredentialStored();
  if (stored == nullptr) {
    return Error(Code::kDataLoss, "record {} does not store credential {}", state.first_sequence,
                 id.ToString());
  }
  return Label{.name = stored->name()->str(), .provider = stored->provider()->str()};
}

// The ids that a profile names, each checked.
absl::StatusOr<std::set<Uuid>> CheckMapping(const journal::Journal& journal,
                                            const std::string& text) {
  NIMBUS_ASSIGN_OR_RETURN(const Json mapping, Json::Parse(text));
  if (!mapping.IsObject()) {
    return Error(Code::kInvalidArgument, "credentials: should be an object of provider to id");
  }
  std::set<Uuid> ids;
  for (const auto& [provider, value] : mapping.object()) {
    const absl::StatusOr<Uuid> id =
        schema::ParseUuid(value.IsString() ? std::string_view(value.string()) : "");
    if (!id.ok()) {
      return Error(Code::kInvalidArgument, "credentials: '{}' should name a credential's id",
                   provider);
    }
    NIMBUS_ASSIGN_OR_RETURN(const Label label, LabelOf(journal, *id));
    if (label.provider != provider) {
      return Error(Code::kInvalidArgument, "credentials: '{}' is of provider '{}', not of '{}'",
                   label.name, label.provider, provider);
    }
    ids.insert(*id);
  }
  return ids;
}

// The same JSON with ids as the views spell them.
std::string CanonicalMapping(const std::string& text) {
  absl::StatusOr<Json> mapping = Json::Parse(text);
  for (auto& [provider, value] : mapping->object()) {
    value = Json::String(schema::CanonicalRowId(value.string()));
  }
  return mapping->Dump();
}

}  // namespace

class Credentials::Rows : public ViewReader<CredentialReader> {
 public:
  using ViewReader::ViewReader;
};

class Credentials::ProfileRows : public ViewReader<CredentialProfileReader> {
 public:
  using ViewReader::ViewReader;
};

Credentials::Credentials(journal::Journal* journal, Views* views)
    : journal_(journal),
      rows_(std::make_unique<Rows>(views)),
      profile_rows_(std::make_unique<ProfileRows>(views)) {}

Credentials::~Credentials() = default;

absl::StatusOr<Written> Credentials::Store(const NewCredential& credential) {
  NIMBUS_RETURN_IF_ERROR(CheckType(credential.type));
  NIMBUS_RETURN_IF_ERROR(CheckSealed(credential.sealed));
  fb::CredentialStoredT stored;
  stored.name = credential.name;
  stored.provider = credential.provider;
  stored.type = credential.type;
  if (credential.expires_at_us) stored.expires_at_us = *credential.expires_at_us;
  Event event = MakeEvent(EntityKind::credential,
                          credential.id ? *credential.id : schema::NewUuid(), std::move(stored));
  event.body.details = std::make_unique<fb::DetailsT>();
  event.body.details->sealed = credential.sealed;
  event.body.details->metadata = credential.metadata;
  return Append(journal_, event);
}

absl::StatusOr<Written> Credentials::Rotate(const Uuid& credential, const Rotation& rotation) {
  NIMBUS_RETURN_IF_ERROR(CheckSealed(rotation.sealed));
  fb::CredentialRotatedT rotated;
  if (rotation.expires_at_us) rotated.expires_at_us = *rotation.expires_at_us;
  Event event = MakeEvent(EntityKind::credential, credential, std::move(rotated));
  event.body.details = std::make_unique<fb::DetailsT>();
  event.body.details->sealed = rotation.sealed;
  event.body.details->metadata = rotation.metadata;
  return Append(journal_, event);
}

absl::StatusOr<Written> Credentials::RecordUse(const Uuid& credential) {
  return Append(journal_, MakeEvent(EntityKind::credential, credential, fb::CredentialUsedT{}));
}

absl::StatusOr<Written> Credentials::Remove(const Uuid& credential, const std::string& reason) {
  NIMBUS_RETURN_IF_ERROR(CheckReason(reason));
  NIMBUS_ASSIGN_OR_RETURN(Label label, LabelOf(*journal_, credential));
  fb::CredentialRemovedT removed;
  removed.name = std::move(label.name);
  Event event = MakeEvent(EntityKind::credential, credential, std::move(removed));
  event.body.description = reason;
  return Append(journal_, event);
}

absl::StatusOr<std::vector<Credential>> Credentials::List(
    const std::optional<std::string>& provider) {
  return rows_->With([&](CredentialReader& reader) { return reader.List(provider); });
}

absl::StatusOr<std::vector<Credential>> Credentials::ListExpiring(int64_t before_us) {
  return rows_->With([&](CredentialReader& reader) { return reader.ListExpiring(before_us); });
}

absl::StatusOr<std::optional<Credential>> Credentials::Get(const Uuid& credential) {
  return rows_->With([&](CredentialReader& reader) { return reader.Get(credential); });
}

absl::StatusOr<std::optional<Credential>> Credentials::GetByName(std::string_view name) {
  return rows_->With([&](CredentialReader& reader) { return reader.GetByName(name); });
}

absl::StatusOr<std::string> Credentials::GetSealed(const Uuid& credential) {
  NIMBUS_ASSIGN_OR_RETURN(
      const std::optional<std::string> sealed,
      rows_->With([&](CredentialReader& reader) { return reader.GetSealed(credential); }));
  if (!sealed) return Error(Code::kNotFound, "there is no credential {}", credential.ToString());
  if (sealed->starts_with(kErasedBegin)) {
    return Error(Code::kFailedPrecondition, "the secret of credential {} was erased",
                 credential.ToString());
  }
  return *sealed;
}

absl::StatusOr<Written> Credentials::SaveProfile(const NewCredentialProfile& profile) {
  const std::string mapping = profile.credentials.empty() ? "{}" : profile.credentials;
  absl::StatusOr<std::set<Uuid>> ids = CheckMapping(*journal_, mapping);
  if (!ids.ok()) return schema::Annotate(ids.status(), "profile '" + profile.name + "'");
  fb::CredentialProfileSavedT saved;
  saved.name = profile.name;
  for (const Uuid& id : *ids) saved.credentials.push_back(id.ToFb());
  Event event = MakeEvent(EntityKind::credential_profile, schema::CredentialProfileId(profile.name),
                          std::move(saved));
  event.body.description = profile.description;
  event.body.details = std::make_unique<fb::DetailsT>();
  event.body.details->config = CanonicalMapping(mapping);
  return Append(journal_, event);
}

absl::StatusOr<Written> Credentials::SetDefaultProfile(std::string_view name) {
  const Uuid id = schema::CredentialProfileId(name);
  NIMBUS_ASSIGN_OR_RETURN(
      const journal::EntityState state,
      RequireInPlace(*journal_, EntityKind::credential_profile, id, fmt::format("'{}'", name)));
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<Uuid> holder,
                          journal_->FindName(EntityKind::credential_profile, "role", "default"));
  if (holder == id) return Written{.id = id, .sequence = state.head_sequence};
  fb::CredentialProfileMadeDefaultT made;
  if (holder) made.previous = std::make_unique<fb::Id>(holder->ToFb());
  return Append(journal_, MakeEvent(EntityKind::credential_profile, id, std::move(made)));
}

absl::StatusOr<Written> Credentials::DeleteProfile(std::string_view name,
                                                   const std::string& reason) {
  NIMBUS_RETURN_IF_ERROR(CheckReason(reason));
  const Uuid id = schema::CredentialProfileId(name);
  NIMBUS_RETURN_IF_ERROR(
      RequireInPlace(*journal_, EntityKind::credential_profile, id, fmt::format("'{}'", name))
          .status());
  Event event = MakeEvent(EntityKind::credential_profile, id, fb::CredentialProfileDeletedT{});
  event.body.description = reason;
  return Append(journal_, event);
}

absl::StatusOr<std::vector<CredentialProfile>> Credentials::ListProfiles() {
  return profile_rows_->With([](CredentialProfileReader& reader) { return reader.List(); });
}

absl::StatusOr<std::optional<CredentialProfile>> Credentials::GetProfile(std::string_view name) {
  return profile_rows_->With([&](CredentialProfileReader& reader) { return reader.Get(name); });
}

absl::StatusOr<std::optional<CredentialProfile>> Credentials::GetDefaultProfile() {
  return profile_rows_->With([](CredentialProfileReader& reader) { return reader.GetDefault(); });
}

absl::StatusOr<Credential> Credentials::Resolve(std::string_view provider,
                                                const std::optional<std::string>& profile) {
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<CredentialProfile> found,
                          profile ? GetProfile(*profile) : GetDefaultProfile());
  if (!found) {
    return profile ? Error(Code::kNotFound, "there is no credential profile '{}'", *profile)
                   : Error(Code::kNotFound, "no credential profile is the default one");
  }
  const absl::StatusOr<Json> mapping = Json::Parse(found->credentials);
  const std::string_view text = mapping.ok() ? mapping->StringOr(provider) : "";
  const absl::StatusOr<Uuid> id = schema::ParseUuid(text);
  if (!id.ok()) {
    return Error(Code::kNotFound, "credential profile '{}' names none of '{}'", found->name,
                 provider);
  }
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<Credential> credential, Get(*id));
  if (credential) return *credential;
  return Error(Code::kNotFound, "credential {}, which profile '{}' names for '{}', was removed",
               id->ToString(), found->name, provider);
}

}  // namespace nimbus::projections
