// The rules of what is set up: plugins, their hooks, the registry.
#include <string>
#include <vector>

#include "fixture.h"
#include "nimbus/journal/verify.h"
#include "nimbus/schema/entity_id.h"

namespace nimbus::journal {
namespace {

using schema::NewUuid;
using schema::fb::HookChangedT;
using schema::fb::HookRegisteredT;
using schema::fb::HookRemovedT;
using schema::fb::Id;
using schema::fb::PluginDisabledT;
using schema::fb::PluginEnabledT;
using schema::fb::PluginInstalledT;
using schema::fb::PluginUninstalledT;
using schema::fb::PluginUpdatedT;
using schema::fb::RegistryEntryCachedT;
using schema::fb::RegistryEntryRemovedT;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::vector<Id> Ids(const std::vector<Uuid>& ids) {
  std::vector<Id> all;
  for (const Uuid& id : ids) all.push_back(id.ToFb());
  return all;
}

Event Installed(const Uuid& id, std::string name, const std::vector<Uuid>& needs = {}) {
  PluginInstalledT installed;
  installed.name = std::move(name);
  installed.version = "1.0.0";
  installed.needs = Ids(needs);
  return MakeEvent(EntityKind::plugin, id, std::move(installed));
}

Event Updated(const Uuid& id, const std::vector<Uuid>& needs, const std::vector<Uuid>& dropped) {
  PluginUpdatedT updated;
  updated.needs = Ids(needs);
  updated.dropped = Ids(dropped);
  return MakeEvent(EntityKind::plugin, id, std::move(updated));
}

Event Uninstalled(const Uuid& id, std::string name, const std::vector<Uuid>& dropped = {}) {
  PluginUninstalledT uninstalled;
  uninstalled.name = std::move(name);
  uninstalled.dropped = Ids(dropped);
  return MakeEvent(EntityKind::plugin, id, std::move(uninstalled));
}

template <typename Payload>
Event HookEvent(const Uuid& plugin, const Uuid& hook) {
  Payload payload;
  payload.hook = std::make_unique<Id>(hook.ToFb());
  if constexpr (std::is_same_v<Payload, HookRegisteredT>) payload.name = "pre_execute";
  return MakeEvent(EntityKind::plugin, plugin, std::move(payload));
}

Event Cached(const Uuid& id, std::string name) {
  RegistryEntryCachedT cached;
  cached.name = std::move(name);
  cached.latest_version = "1";
  return MakeEvent(EntityKind::registry_entry, id, std::move(cached));
}

class PluginRulesTest : public JournalTest {
 protected:
  void SetUp() override {
    JournalTest::SetUp();
    size_ = *journal_->Size();
  }
  void TearDown() override {  // the tables follow from the records
    NIMBUS_ASSERT_OK_AND_ASSIGN(const VerifyReport report, VerifyJournal(*journal_, {}));
    EXPECT_TRUE(report.findings.empty());
  }
  void Accept(const Event& event) {
    ASSERT_THAT(journal_->Append(event), IsOk());
    EXPECT_THAT(journal_->Size(), IsOkAndHolds(++size_));
  }
  void Refuse(const Event& event, Code code, const std::string& saying) {
    EXPECT_THAT(journal_->Append(event), StatusIs(code, HasSubstr(saying)));
    EXPECT_THAT(journal_->Size(), IsOkAndHolds(size_));
  }
  EntityState StateOf(const Uuid& id) {
    return (*journal_->FindEntity(EntityKind::plugin, id)).value_or(EntityState{});
  }

  const Uuid a_ = NewUuid(), b_ = NewUuid(), nobody_ = NewUuid();
  uint64_t size_ = 0;
};

TEST_F(PluginRulesTest, ANameIsFreeAgainOnceItsPluginIsGone) {
  Accept(Installed(a_, "aws"));
  EXPECT_THAT(journal_->FindName(EntityKind::plugin, "", "aws"),
              IsOkAndHolds(::testing::Optional(a_)));
  Refuse(Installed(b_, "aws"), Code::kAlreadyExists, "plugin 'aws' is " + a_.ToString());
  Refuse(Installed(a_, "other"), Code::kAlreadyExists, a_.ToString());
  Refuse(Uninstalled(a_, "other"), Code::kInvalidArgument, "is not named 'other'");
  Accept(Uninstalled(a_, "aws"));
  EXPECT_THAT(journal_->FindName(EntityKind::plugin, "", "aws"),
              IsOkAndHolds(::testing::Eq(std::nullopt)));
  Refuse(Installed(a_, "aws"), Code::kAlreadyExists, a_.ToString());
  Refuse(Uninstalled(a_, "aws"), Code::kNotFound, "has been removed");
  Accept(Installed(b_, "aws"));
}

TEST_F(PluginRulesTest, WhatIsNeededStaysInPlace) {
  Refuse(Installed(a_, "a", {nobody_}), Code::kNotFound, nobody_.ToString());
  Refuse(Installed(a_, "a", {a_}), Code::kInvalidArgument, "can't need itself");
  Accept(Installed(a_, "a"));
  Refuse(Installed(b_, "b", {a_, a_}), Code::kInvalidArgument, "needs " + a_.ToString());
  Accept(Installed(b_, "b", {a_}));
  EXPECT_EQ(StateOf(a_).steps, 1u);
  Refuse(Uninstalled(a_, "a"), Code::kFailedPrecondition, "is needed by 1 other plugin");
  Refuse(Uninstalled(b_, "b", {nobody_}), Code::kInvalidArgument, "does not need");
  Accept(Uninstalled(b_, "b", {a_}));
  EXPECT_EQ(StateOf(a_).steps, 0u);
  Accept(Uninstalled(a_, "a"));
  Refuse(Installed(NewUuid(), "c", {a_}), Code::kNotFound, "has been removed");
}

TEST_F(PluginRulesTest, AnUpdateMovesWhatIsNeeded) {
  const Uuid c = NewUuid();
  Accept(Installed(a_, "a"));
  Accept(Installed(b_, "b"));
  Accept(Installed(c, "c", {a_}));
  Refuse(Updated(c, {a_}, {}), Code::kInvalidArgument, "needs " + a_.ToString() + " already");
  Refuse(Updated(c, {}, {b_}), Code::kInvalidArgument, "does not need");
  Refuse(Updated(nobody_, {}, {}), Code::kNotFound, nobody_.ToString());
  Accept(Updated(c, {b_}, {a_}));
  EXPECT_EQ(StateOf(a_).steps, 0u);
  EXPECT_EQ(StateOf(b_).steps, 1u);
  Accept(Updated(c, {a_}, {}));
  Accept(Uninstalled(c, "c", {a_, b_}));
  EXPECT_EQ(StateOf(b_).steps, 0u);
}

TEST_F(PluginRulesTest, IsSwitchedOnlyWhileItIsInPlace) {
  Refuse(MakeEvent(EntityKind::plugin, a_, PluginEnabledT{}), Code::kNotFound, a_.ToString());
  Accept(Installed(a_, "a"));
  EXPECT_EQ(StateOf(a_).state, static_cast<uint8_t>(Standing::kOn));
  Accept(MakeEvent(EntityKind::plugin, a_, PluginDisabledT{}));
  EXPECT_EQ(StateOf(a_).state, static_cast<uint8_t>(Standing::kOff));
  Accept(Uninstalled(a_, "a"));
  Refuse(MakeEvent(EntityKind::plugin, a_, PluginEnabledT{}), Code::kNotFound, "removed");
}

TEST_F(PluginRulesTest, AHookIsOfItsPluginAndOnce) {
  const Uuid hook = NewUuid();
  Refuse(HookEvent<HookRegisteredT>(a_, hook), Code::kNotFound, a_.ToString());
  Accept(Installed(a_, "a"));
  Accept(Installed(b_, "b"));
  Accept(HookEvent<HookRegisteredT>(a_, hook));
  Refuse(HookEvent<HookRegisteredT>(b_, hook), Code::kAlreadyExists, hook.ToString());
  Refuse(HookEvent<HookChangedT>(b_, hook), Code::kFailedPrecondition, "belongs to plugin");
  Refuse(HookEvent<HookRemovedT>(a_, nobody_), Code::kNotFound, nobody_.ToString());
  Accept(HookEvent<HookChangedT>(a_, hook));
  Accept(HookEvent<HookRemovedT>(a_, hook));
  Refuse(HookEvent<HookChangedT>(a_, hook), Code::kNotFound, "removed");
}

TEST_F(PluginRulesTest, ARegistryEntryGoesAndComesBackUnderItsName) {
  const Uuid id = schema::RegistryEntryId("aws");
  Refuse(Cached(a_, "aws"), Code::kInvalidArgument, "derived from its name");
  Refuse(MakeEvent(EntityKind::registry_entry, id, RegistryEntryRemovedT{}), Code::kNotFound,
         id.ToString());
  Accept(Cached(id, "aws"));
  Accept(Cached(id, "aws"));
  Accept(MakeEvent(EntityKind::registry_entry, id, RegistryEntryRemovedT{}));
  Refuse(MakeEvent(EntityKind::registry_entry, id, RegistryEntryRemovedT{}), Code::kNotFound,
         "removed");
  Accept(Cached(id, "aws"));
}

}  // namespace
}  // namespace nimbus::journal
