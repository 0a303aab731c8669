// Credentials and their profiles: commands, queries, and rows.
#include "nimbus/projections/credentials.h"

#include <gtest/gtest.h>

#include <thread>

#include "absl/synchronization/mutex.h"
#include "credential_rows.h"
#include "fixture.h"
#include "migrator.h"
#include "nimbus/journal/reader.h"
#include "nimbus/schema/clock.h"
#include "nimbus/schema/entity_id.h"
#include "rows.h"
#include "testing/status_matchers.h"

namespace nimbus::projections {
namespace {

using Code = absl::StatusCode;
using schema::NewUuid;
using schema::Uuid;
using test::IsOk;
using test::IsOkAndHolds;
using test::StatusIs;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kSealed[] = "v1.c2VhbGVkIHNlY3JldA==";

class CredentialsTest : public StoreTest {
 protected:
  void SetUp() override { ASSERT_THAT(Open(), IsOk()); }

  Credentials& credentials() { return database_->credentials(); }

  Uuid Store(const std::string& name, const std::string& provider = "aws",
             std::optional<int64_t> expires = {}) {
    const absl::StatusOr<Written> stored =
        credentials().Store({.name = name,
                             .provider = provider,
                             .type = "api_key",
                             .sealed = kSealed,
                             .metadata = R"({"region":"eu-west-1"})",
                             .expires_at_us = expires});
    EXPECT_THAT(stored, IsOk());
    return stored.ok() ? stored->id : Uuid{};
  }

  absl::StatusOr<Written> SaveProfile(const std::string& name, const std::string& provider,
                                      const Uuid& id) {
    return credentials().SaveProfile(
        {.name = name,
         .description = "for " + name,
         .credentials = fmt::format(R"({{"{}":"{}"}})", provider, id.ToString())});
  }

  Credential Get(const Uuid& id) {
    EXPECT_THAT(CatchUp(), IsOk());
    const absl::StatusOr<std::optional<Credential>> found = credentials().Get(id);
    EXPECT_THAT(found, IsOk());
    return found.ok() && found->has_value() ? **found : Credential{};
  }

  std::vector<std::string> Names(const absl::StatusOr<std::vector<Credential>>& rows) {
    EXPECT_THAT(rows, IsOk());
    std::vector<std::string> names;
    if (rows.ok()) {
      for (const Credential& row : *rows) names.push_back(row.name);
    }
    return names;
  }
};

TEST_F(CredentialsTest, AreStoredWithWhatIsNoSecret) {
  const int64_t expires = *schema::ParseUtc("2027-01-01T00:00:00Z");
  const Uuid id = Store("deploy", "aws", expires);
  const Credential row = Get(id);
  EXPECT_EQ(row.id, id);
  EXPECT_EQ(row.name, "deploy");
  EXPECT_EQ(row.provider, "aws");
  EXPECT_EQ(row.type, "api_key");
  EXPECT_EQ(row.metadata, R"({"region":"eu-west-1"})");
  EXPECT_EQ(row.expires_at_us, expires);
  EXPECT_TRUE(row.created_at_us);
  EXPECT_FALSE(row.last_used_at_us || row.updated_at_us);
  EXPECT_THAT(credentials().GetSealed(id), IsOkAndHolds(kSealed));
  EXPECT_THAT(Column(link(), "SELECT encrypted_data FROM credentials"), ElementsAre(kSealed));
  EXPECT_THAT(credentials().GetByName("deploy"),
              IsOkAndHolds(testing::Optional(testing::Field(&Credential::id, id))));
  EXPECT_THAT(credentials().GetByName("deplo"), IsOkAndHolds(std::nullopt));
  EXPECT_THAT(credentials().Get(NewUuid()), IsOkAndHolds(std::nullopt));
  EXPECT_THAT(credentials().GetSealed(NewUuid()), StatusIs(Code::kNotFound));
  ExpectRowsAsRebuilt();
}

TEST_F(CredentialsTest, AreRefusedWhenSomethingIsWrong) {
  const NewCredential good{
      .name = "n", .provider = "aws", .type = "oauth", .sealed = "s", .metadata = "{}"};
  NIMBUS_ASSERT_OK_AND_ASSIGN(const uint64_t size, journal().Size());
  const auto refused = [&](auto change, const std::string& says) {
    NewCredential bad = good;
    change(&bad);
    EXPECT_THAT(credentials().Store(bad), StatusIs(Code::kInvalidArgument, HasSubstr(says)));
  };
  refused([](NewCredential* c) { c->name = ""; }, "name");
  refused([](NewCredential* c) { c->name = std::string(256, 'n'); }, "name: 256 bytes");
  refused([](NewCredential* c) { c->name = "a\nb"; }, "control character");
  refused([](NewCredential* c) { c->name = "\xff"; }, "UTF-8");
  refused([](NewCredential* c) { c->provider = ""; }, "provider");
  refused([](NewCredential* c) { c->type = "password"; }, "'password' is no type");
  refused([](NewCredential* c) { c->type = ""; }, "is no type");
  refused([](NewCredential* c) { c->sealed = ""; }, "sealed: is required");
  refused([](NewCredential* c) { c->sealed = std::string("\xc3\x28"); }, "sealed");
  refused([](NewCredential* c) { c->sealed = std::string(kSealedBytesMax + 1, 's'); },
          "1048577 bytes, 1048576 are allowed");
  refused([](NewCredential* c) { c->metadata = "{"; }, "metadata");
  EXPECT_THAT(journal().Size(), IsOkAndHolds(size));
  NewCredential large = good;
  large.sealed = std::string(kSealedBytesMax, 's');
  EXPECT_THAT(credentials().Store(large), IsOk());
  EXPECT_THAT(credentials().Store(good), StatusIs(Code::kAlreadyExists, HasSubstr("'n'")));
}

TEST_F(CredentialsTest, NeverTellTheSecretInAnError) {
  NewCredential bad{.name = "n", .provider = "aws", .type = "oauth", .sealed = "hush\xff"};
  EXPECT_EQ(credentials().Store(bad).status().ToString().find("hush"), std::string::npos);
  bad.sealed = "hush";
  bad.metadata = "{";
  EXPECT_EQ(credentials().Store(bad).status().ToString().find("hush"), std::string::npos);
}

TEST_F(CredentialsTest, AreRotatedUsedAndRemoved) {
  const Uuid id = Store("deploy", "aws", 2'000'000'000'000'000);
  ASSERT_THAT(credentials().RecordUse(id), IsOk());
  const Credential used = Get(id);
  EXPECT_GT(used.last_used_at_us, used.created_at_us);
  EXPECT_FALSE(used.updated_at_us);
  ASSERT_THAT(credentials().Rotate(id, {.sealed = "v2.other"}), IsOk());
  const Credential rotated = Get(id);
  EXPECT_GT(rotated.updated_at_us, used.last_used_at_us);
  EXPECT_EQ(rotated.last_used_at_us, used.last_used_at_us);
  EXPECT_EQ(rotated.metadata, used.metadata) << "it stays unless given";
  EXPECT_FALSE(rotated.expires_at_us) << "that was the old secret's";
  EXPECT_THAT(credentials().GetSealed(id), IsOkAndHolds("v2.other"));
  EXPECT_THAT(credentials().Rotate(id, {}), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(credentials().Remove(id, ""), StatusIs(Code::kInvalidArgument, HasSubstr("reason")));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Written removed, credentials().Remove(id, "leaked"));
  ASSERT_THAT(CatchUp(), IsOk());
  EXPECT_THAT(credentials().Get(id), IsOkAndHolds(std::nullopt));
  for (const absl::Status& status :
       {credentials().RecordUse(id).status(), credentials().Rotate(id, {.sealed = "x"}).status(),
        credentials().Remove(id, "again").status(), credentials().RecordUse(NewUuid()).status()}) {
    EXPECT_THAT(status, StatusIs(Code::kNotFound));
  }
  journal::Reader reader(journal());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::RecordView* view, reader.Read(removed.sequence));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const schema::fb::Body* body, reader.Body(*view));
  EXPECT_EQ(body->description()->str(), "leaked");
  EXPECT_NE(Store("deploy"), id) << "the name is free again";
  ExpectRowsAsRebuilt();
}

TEST_F(CredentialsTest, AreListedByNameProviderAndExpiry) {
  Store("c", "gcp", 3'000'000'000'000'000);
  Store("a", "aws", 2'000'000'000'000'000);
  Store("b", "aws");
  Store("é", "aws", 1'900'000'000'000'000);
  ASSERT_THAT(CatchUp(), IsOk());
  EXPECT_THAT(Names(credentials().List()), ElementsAre("a", "b", "c", "é"));
  EXPECT_THAT(Names(credentials().List("aws")), ElementsAre("a", "b", "é"));
  EXPECT_THAT(Names(credentials().List("")), IsEmpty());
  EXPECT_THAT(Names(credentials().List("' OR 1=1 --")), IsEmpty());
  EXPECT_THAT(Names(credentials().ListExpiring(2'000'000'000'000'000)), ElementsAre("é"));
  EXPECT_THAT(Names(credentials().ListExpiring(2'000'000'000'000'001)), ElementsAre("é", "a"));
  EXPECT_THAT(Names(credentials().ListExpiring(INT64_MAX)), ElementsAre("é", "a", "c"));
  ASSERT_THAT(database_->Migrate(5), IsOk());
  EXPECT_THAT(Names(credentials().List("aws")), ElementsAre("a", "b", "é"));
  EXPECT_THAT(credentials().ListProfiles(),
              StatusIs(Code::kFailedPrecondition, HasSubstr("credential profiles needs 6")));
  ASSERT_THAT(database_->Migrate(0), IsOk());
  EXPECT_THAT(credentials().List(), StatusIs(Code::kFailedPrecondition));
}

TEST_F(CredentialsTest, ProfilesNameCredentialsThatExist) {
  const Uuid aws = Store("deploy"), gcp = Store("storage", "gcp");
  for (const std::string bad : {"[]", "1", R"({"aws":1})", R"({"aws":"deploy"})", "{"}) {
    EXPECT_THAT(credentials().SaveProfile({.name = "p", .credentials = bad}),
                StatusIs(Code::kInvalidArgument, HasSubstr("profile 'p'")))
        << bad;
  }
  EXPECT_THAT(SaveProfile("p", "aws", NewUuid()), StatusIs(Code::kNotFound));
  EXPECT_THAT(SaveProfile("p", "aws", gcp),
              StatusIs(Code::kInvalidArgument, HasSubstr("'storage' is of provider 'gcp'")));
  EXPECT_THAT(SaveProfile("", "aws", aws), StatusIs(Code::kInvalidArgument, HasSubstr("name")));
  ASSERT_THAT(SaveProfile("p", "aws", aws), IsOk());
  ASSERT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto first, credentials().GetProfile("p"));
  ASSERT_TRUE(first);
  EXPECT_EQ(first->id, schema::CredentialProfileId("p"));
  EXPECT_EQ(first->description, "for p");
  EXPECT_EQ(first->credentials, fmt::format(R"({{"aws":"{}"}})", aws.ToString()));
  EXPECT_FALSE(first->is_default);
  // Saved again it is the same profile.
  ASSERT_THAT(credentials().SaveProfile({.name = "p"}), IsOk());
  ASSERT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto second, credentials().GetProfile("p"));
  EXPECT_EQ(second->credentials, "{}");
  EXPECT_EQ(second->description, std::nullopt);
  EXPECT_EQ(second->created_at_us, first->created_at_us);
  ASSERT_THAT(credentials().Remove(aws, "gone"), IsOk());
  EXPECT_THAT(SaveProfile("p", "aws", aws), StatusIs(Code::kNotFound, HasSubstr("removed")));
  ExpectRowsAsRebuilt();
}

TEST_F(CredentialsTest, OneProfileIsTheDefault) {
  const Uuid aws = Store("deploy"), other = Store("other");
  ASSERT_THAT(SaveProfile("p", "aws", aws), IsOk());
  ASSERT_THAT(SaveProfile("q", "aws", other), IsOk());
  EXPECT_THAT(credentials().Resolve("aws"), StatusIs(Code::kNotFound, HasSubstr("default")));
  EXPECT_THAT(credentials().SetDefaultProfile("r"), StatusIs(Code::kNotFound, HasSubstr("'r'")));
  for (const std::string name : {"p", "q", "p"}) {
    ASSERT_THAT(credentials().SetDefaultProfile(name), IsOk());
    NIMBUS_ASSERT_OK_AND_ASSIGN(const uint64_t size, journal().Size());
    ASSERT_THAT(credentials().SetDefaultProfile(name), IsOk());
    EXPECT_THAT(journal().Size(), IsOkAndHolds(size)) << "it is already";
    ASSERT_THAT(CatchUp(), IsOk());
    EXPECT_THAT(Column(link(), "SELECT name FROM credential_profiles WHERE is_default"),
                ElementsAre(name));
    NIMBUS_ASSERT_OK_AND_ASSIGN(const auto found, credentials().GetDefaultProfile());
    EXPECT_EQ(found->name, name);
  }
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Credential resolved, credentials().Resolve("aws"));
  EXPECT_EQ(resolved.id, aws);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Credential named, credentials().Resolve("aws", "q"));
  EXPECT_EQ(named.id, other);
  EXPECT_THAT(credentials().Resolve("gcp"), StatusIs(Code::kNotFound, HasSubstr("'gcp'")));
  EXPECT_THAT(credentials().Resolve("aws", "r"), StatusIs(Code::kNotFound, HasSubstr("'r'")));
  EXPECT_THAT(credentials().DeleteProfile("p", ""), StatusIs(Code::kInvalidArgument));
  ASSERT_THAT(credentials().DeleteProfile("p", "no longer"), IsOk());
  EXPECT_THAT(credentials().DeleteProfile("p", "again"), StatusIs(Code::kNotFound));
  ASSERT_THAT(credentials().Remove(other, "leaked"), IsOk());
  ASSERT_THAT(CatchUp(), IsOk());
  EXPECT_THAT(credentials().GetDefaultProfile(), IsOkAndHolds(std::nullopt));
  EXPECT_THAT(credentials().Resolve("aws", "q"), StatusIs(Code::kNotFound, HasSubstr("removed")));
  ASSERT_THAT(SaveProfile("p", "aws", aws), IsOk()) << "a deleted one may be saved again";
  ExpectRowsAsRebuilt();
  EXPECT_THAT(Column(link(), "SELECT name || is_default FROM credential_profiles ORDER BY name"),
              ElementsAre("p0", "q0"));
}

TEST_F(CredentialsTest, TheDefaultIsTakenFromWhoHadItOrNotAtAll) {
  const Uuid aws = Store("deploy");
  for (const std::string name : {"p", "q", "r"}) ASSERT_THAT(SaveProfile(name, "aws", aws), IsOk());
  ASSERT_THAT(credentials().SetDefaultProfile("p"), IsOk());
  // Another process that has not seen that.
  schema::fb::CredentialProfileMadeDefaultT stale;
  EXPECT_THAT(journal().Append(MakeEvent(schema::fb::EntityKind::credential_profile,
                                         schema::CredentialProfileId("q"), std::move(stale))),
              StatusIs(Code::kFailedPrecondition));
  ASSERT_THAT(CatchUp(), IsOk());
  EXPECT_THAT(Column(link(), "SELECT name FROM credential_profiles WHERE is_default"),
              ElementsAre("p"));
}

TEST_F(CredentialsTest, AnErasedSecretLeavesItsRow) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(sqlite::Connection db,
                              sqlite::Connection::Open(directory_ / "other.db", {}));
  ASSERT_THAT(Migrate(&db, 6), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto credential_writer, CredentialWriter::Create(&db));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto profile_writer, CredentialProfileWriter::Create(&db));
  const Uuid id = Store("deploy");
  ASSERT_THAT(SaveProfile("p", "aws", id), IsOk());
  journal::Reader reader(journal());
  std::vector<std::string> marks;
  for (;;) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::RecordView* view, reader.Next());
    if (view == nullptr) break;
    const AppliedRecord erased{.view = *view, .body = nullptr, .erased = true};
    const schema::fb::Event type = view->record->event_type();
    if (type == schema::fb::Event::CredentialStored) {
      ASSERT_THAT(credential_writer->Apply(erased), IsOk());
    } else if (type == schema::fb::Event::CredentialProfileSaved) {
      ASSERT_THAT(profile_writer->Apply(erased), IsOk());
    } else {
      continue;
    }
    marks.push_back(ErasedMark(view->sequence));
  }
  ASSERT_EQ(marks.size(), 2u);
  const std::string path = directory_ / "other.db";
  EXPECT_THAT(Column(path, "SELECT encrypted_data FROM credentials"), ElementsAre(marks[0]));
  EXPECT_THAT(Column(path, "SELECT metadata FROM credentials"), ElementsAre("NULL"));
  EXPECT_THAT(Column(path, "SELECT credentials FROM credential_profiles"), ElementsAre(marks[1]));
  NIMBUS_ASSERT_OK_AND_ASSIGN(CredentialReader rows, CredentialReader::Create(&db));
  EXPECT_THAT(rows.GetSealed(id), IsOkAndHolds(testing::Optional(marks[0])));
}

TEST_F(CredentialsTest, AnEventWithoutABodyMakesARowAllTheSame) {
  const Uuid id = NewUuid();
  schema::fb::CredentialStoredT stored;
  stored.name = "bare";
  stored.provider = "aws";
  stored.type = "oauth";
  ASSERT_THAT(
      journal().Append(MakeEvent(schema::fb::EntityKind::credential, id, std::move(stored))),
      IsOk());
  EXPECT_EQ(Get(id).name, "bare");
  EXPECT_THAT(credentials().GetSealed(id), IsOkAndHolds(""));
  ExpectRowsAsRebuilt();
}

// The journal's rules decide, whichever thread comes first.
TEST_F(CredentialsTest, OfTwoThatStoreOneNameOneFails) {
  int stored = 0, refused = 0;
  std::vector<std::thread> threads;
  absl::Mutex mu;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      const absl::Status status =
          credentials()
              .Store({.name = "one", .provider = "aws", .type = "oauth", .sealed = "s"})
              .status();
      absl::MutexLock lock(&mu);
      stored += status.ok() ? 1 : 0;
      refused += absl::IsAlreadyExists(status) ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(stored, 1);
  EXPECT_EQ(refused, 3);
  ASSERT_THAT(CatchUp(), IsOk());
  EXPECT_THAT(Names(credentials().List()), ElementsAre("one"));
}

}  // namespace
}  // namespace nimbus::projections
