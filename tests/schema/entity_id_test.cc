#include "nimbus/schema/entity_id.h"

#include <gtest/gtest.h>

#include <set>

namespace nimbus::schema {
namespace {

using fb::EntityKind;

TEST(EntityIdTest, ARowIdThatIsAUuidIsThatEntityInEitherCase) {
  const Uuid id = NewUuid();
  EXPECT_EQ(RowEntityId(EntityKind::persona, id.ToString()), id);
  EXPECT_EQ(RowEntityId(EntityKind::persona, "01A206C7-EECF-701E-8BE0-5063E5D3A335"),
            *ParseUuid("01a206c7-eecf-701e-8be0-5063e5d3a335"));
  EXPECT_EQ(CanonicalRowId("01A206C7-EECF-701E-8BE0-5063E5D3A335"),
            "01a206c7-eecf-701e-8be0-5063e5d3a335");
  EXPECT_EQ(CanonicalRowId("persona_DevOps"), "persona_DevOps");
}

// Journals hold these: they must never change.
TEST(EntityIdTest, WhatIsDerivedStaysAsItIs) {
  EXPECT_EQ(RowEntityId(EntityKind::persona, "persona_devops").ToString(),
            "bdd8e721-6b07-8d03-a519-b03e10e4b265");
  EXPECT_EQ(PreferenceId("ui.theme").ToString(), "953ae0b0-3108-8b3e-80ef-4a8b54dfbd1e");
  EXPECT_EQ(EnvironmentConfigId("production", "aws").ToString(),
            "f0e6cd18-4c06-8d11-9b5e-28b710e028cf");
}

TEST(EntityIdTest, KindsAndNamesDoNotCollide) {
  const std::set<Uuid> ids = {PreferenceId("a"),
                              ConfigValueId("a"),
                              ConfigProfileId("a"),
                              RegistryEntryId("a"),
                              CredentialProfileId("a"),
                              RowEntityId(EntityKind::persona, "a"),
                              EnvironmentConfigId("a", "b"),
                              EnvironmentConfigId("ab", ""),
                              EnvironmentConfigId("", "ab"),
                              ConfigProfileId("A")};
  EXPECT_EQ(ids.size(), 10u);
}

}  // namespace
}  // namespace nimbus::schema
