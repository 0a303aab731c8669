// What ValidateEvent says of the events of what is set up.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "nimbus/schema/event.h"
#include "testing/status_matchers.h"

namespace nimbus::schema {
namespace {

using test::IsOk;
using test::StatusIs;
using ::testing::HasSubstr;

template <typename Payload>
absl::Status Check(Payload payload, const fb::DetailsT& details = {}) {
  Event event = MakeEvent(fb::EntityKind::plugin, NewUuid(), std::move(payload));
  event.body.details = std::make_unique<fb::DetailsT>(details);
  return ValidateEvent(event);
}

void ExpectInvalid(const absl::Status& status, const std::string& field) {
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(field)));
}

template <typename Payload>
Payload Named(std::string name) {
  Payload payload;
  payload.name = std::move(name);
  return payload;
}

fb::PluginInstalledT Plugin(std::string version) {
  fb::PluginInstalledT plugin = Named<fb::PluginInstalledT>("aws");
  plugin.version = std::move(version);
  return plugin;
}

TEST(EventCheckTest, NamesAreRequiredShortAndWithoutControlCharacters) {
  EXPECT_THAT(Check(Plugin("1.0")), IsOk());
  ExpectInvalid(Check(Plugin("")), "version");
  ExpectInvalid(Check(Named<fb::PluginUninstalledT>("")), "name");
  ExpectInvalid(Check(Named<fb::PersonaDefinedT>("a\tb")), "name");
  ExpectInvalid(Check(Named<fb::PersonaRemovedT>("\xff")), "name");
  ExpectInvalid(Check(Named<fb::ConfigProfileSavedT>(std::string(kNameBytesMax + 1, 'x'))), "name");
  EXPECT_THAT(Check(Named<fb::ConfigProfileSavedT>(std::string(kNameBytesMax, 'x'))), IsOk());
  ExpectInvalid(Check(fb::PluginConfiguredT{}), "profile");
  ExpectInvalid(Check(fb::ConfigValueSetT{}), "key");
  ExpectInvalid(Check(fb::PreferenceDefinedT{}), "key");
  ExpectInvalid(Check(fb::EnvironmentConfigSetT{}), "environment");
  ExpectInvalid(Check(Named<fb::CredentialStoredT>("prod")), "provider");
  ExpectInvalid(Check(fb::CredentialRemovedT{}), "name");
  ExpectInvalid(Check(fb::CredentialProfileSavedT{}), "name");
  ExpectInvalid(Check(fb::RegistryEntryCachedT{}), "name");
  ExpectInvalid(Check(fb::ValueRecordedT{}), "name");
  EXPECT_THAT(Check(Named<fb::ValueRecordedT>("now")), IsOk());
  ExpectInvalid(Check(fb::StepAttemptFailedT{}), "step");
}

TEST(EventCheckTest, IdsAreRequired) {
  ExpectInvalid(Check(fb::HookRegisteredT{}), "hook");
  ExpectInvalid(Check(fb::HookChangedT{}), "hook");
  ExpectInvalid(Check(fb::HookRemovedT{}), "hook");
  ExpectInvalid(Check(fb::OperationForkedT{}), "parent");
  ExpectInvalid(Check(fb::OperationReplayedT{}), "receipt");
}

TEST(EventCheckTest, NumbersAreFinite) {
  fb::PersonaUpdatedT persona;
  persona.temperature = std::numeric_limits<double>::quiet_NaN();
  ExpectInvalid(Check(persona), "temperature");
  persona.temperature = 0.5;
  EXPECT_THAT(Check(persona), IsOk());
  fb::RegistryEntryCachedT entry = Named<fb::RegistryEntryCachedT>("aws");
  entry.latest_version = "1";
  entry.rating = std::numeric_limits<double>::infinity();
  ExpectInvalid(Check(entry), "rating");
}

TEST(EventCheckTest, DetailsAreJsonWhereTheySaySoAndUtf8Everywhere) {
  using Member = std::string fb::DetailsT::*;
  const std::pair<const char*, Member> jsons[] = {{"config_schema", &fb::DetailsT::config_schema},
                                                  {"dependencies", &fb::DetailsT::dependencies},
                                                  {"permissions", &fb::DetailsT::permissions},
                                                  {"config", &fb::DetailsT::config},
                                                  {"categories", &fb::DetailsT::categories},
                                                  {"metadata", &fb::DetailsT::metadata},
                                                  {"response_style", &fb::DetailsT::response_style},
                                                  {"capabilities", &fb::DetailsT::capabilities},
                                                  {"value", &fb::DetailsT::value},
                                                  {"default_value", &fb::DetailsT::default_value}};
  const std::pair<const char*, Member> texts[] = {{"author", &fb::DetailsT::author},
                                                  {"homepage", &fb::DetailsT::homepage},
                                                  {"repository", &fb::DetailsT::repository},
                                                  {"entry_point", &fb::DetailsT::entry_point},
                                                  {"display_name", &fb::DetailsT::display_name},
                                                  {"system_prompt", &fb::DetailsT::system_prompt},
                                                  {"model", &fb::DetailsT::model},
                                                  {"text", &fb::DetailsT::text},
                                                  {"sealed", &fb::DetailsT::sealed}};
  for (const auto& [field, member] : jsons) {
    fb::DetailsT details;
    details.*member = "{";
    ExpectInvalid(Check(Plugin("1"), details), field);
  }
  for (const auto& [field, member] : texts) {
    fb::DetailsT details;
    details.*member = "no JSON {";
    EXPECT_THAT(Check(Plugin("1"), details), IsOk()) << field;
    details.*member = "\xc3\x28";
    ExpectInvalid(Check(Plugin("1"), details), field);
  }
}

TEST(EventCheckTest, DetailsCountAsTextOfTheBody) {
  fb::BodyT body;
  EXPECT_EQ(TextBytes(body), 0u);
  body.details = std::make_unique<fb::DetailsT>();
  body.details->system_prompt = "be brief";
  body.details->sealed = "xyz";
  EXPECT_EQ(TextBytes(body), 11u);
}

}  // namespace
}  // namespace nimbus::schema
