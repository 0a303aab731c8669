// Full-text search: what is found, in which order, and that the index follows the
// journal whatever happens to its files.
#include "nimbus/projections/search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "fixture.h"
#include "search_rows.h"
#include "testing/status_matchers.h"

namespace nimbus::projections {
namespace {

using schema::Uuid;
using test::IsOk;
using test::IsOkAndHolds;
using test::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using Code = absl::StatusCode;

std::string Extracted(std::string_view json) {
  std::string text;
  AppendSearchText(json, &text);
  return text;
}

TEST(SearchTextTest, HoldsStringsAndNumbersNotNames) {
  EXPECT_EQ(Extracted(R"({"command":"ls -l","code":404,"ok":true,"more":[null,-1.5e3,"x"]})"),
            "ls -l 404 -1.5e3 x");
  EXPECT_EQ(Extracted(R"({"a" : {"b": "c"}})"), "c");
  EXPECT_EQ(Extracted("{}"), "");
  EXPECT_EQ(Extracted(R"("alone")"), "alone");
}

TEST(SearchTextTest, ResolvesEscapes) {
  EXPECT_EQ(Extracted(R"({"t":"one\ntwo \"three\" \u00e9"})"), "one\ntwo \"three\" \u00e9");
  EXPECT_EQ(Extracted(R"({"na\"me":"\\"})"), "\\");
}

TEST(SearchTextTest, StopsAtItsLimit) {
  const std::string word(1000, 'w');
  std::string json = "[";
  for (int i = 0; i < 400; ++i) json += '"' + word + "\",";
  json.back() = ']';
  EXPECT_EQ(Extracted(json).size(), kSearchedBytesMax);
  EXPECT_EQ(Extracted('"' + std::string(kSearchedBytesMax - 1, 'w') + '"').size(),
            kSearchedBytesMax - 1);
  EXPECT_EQ(Extracted('"' + std::string(kSearchedBytesMax + 1, 'w') + '"').size(),
            kSearchedBytesMax);
}

TEST(MatchExpressionTest, IsMadeOfQuotedTerms) {
  EXPECT_THAT(MatchExpression("disk full"), IsOkAndHolds(R"("disk" AND "full")"));
  EXPECT_THAT(MatchExpression(R"("disk full" depl* -retry -"a b")"),
              IsOkAndHolds(R"(("disk full" AND "depl"*) NOT ("retry" OR "a b"))"));
  EXPECT_THAT(MatchExpression("error:timeout input:\"a b\""),
              IsOkAndHolds(R"(error : "timeout" AND input : "a b")"));
  EXPECT_THAT(MatchExpression("AND OR NEAR( foo)bar it's a:b"),
              IsOkAndHolds(R"("AND" AND "OR" AND "NEAR(" AND "foo)bar" AND "it's" AND "a:b")"));
}

TEST(MatchExpressionTest, RefusesWhatHasNoWord) {
  for (const char* query : {"", "  ", "-x", "\"\"", "* ( ) :", "error:"}) {
    EXPECT_THAT(MatchExpression(query), StatusIs(Code::kInvalidArgument)) << query;
  }
  EXPECT_THAT(MatchExpression("\"open"), StatusIs(Code::kInvalidArgument, HasSubstr("quote")));
}

class SearchTest : public StoreTest {
 protected:
  void SetUp() override {
    ASSERT_THAT(Open(), IsOk());
    OpenSearch();
  }
  void OpenSearch(const ViewsOptions& options = {}) {
    absl::StatusOr<std::unique_ptr<Search>> search = Search::Open(&journal(), options);
    ASSERT_THAT(search, IsOk());
    search_ = *std::move(search);
  }
  Uuid MakeSession() { return history().CreateSession({})->id; }
  Uuid MakeOperation(const Uuid& session, std::string input = "{}") {
    return history()
        .CreateOperation({.session = session, .type = "chat", .input = std::move(input)})
        ->id;
  }
  Uuid MakeStep(const Uuid& operation, std::string input, std::string output,
                std::string error = "") {
    const absl::StatusOr<Written> step =
        history().AddOperationStep({.operation = operation, .input = std::move(input)});
    EXPECT_THAT(step, IsOk());
    const Result result{.output = std::move(output), .error = error};
    EXPECT_THAT(error.empty() ? history().CompleteOperationStep(step->id, result)
                              : history().FailOperationStep(step->id, result),
                IsOk());
    return step->id;
  }
  std::vector<SearchHit> Find(const SearchQuery& query) {
    EXPECT_THAT(search_->CatchUp(30'000), IsOk());
    absl::StatusOr<std::vector<SearchHit>> hits = search_->Find(query);
    EXPECT_THAT(hits, IsOk());
    return hits.ok() ? *std::move(hits) : std::vector<SearchHit>();
  }
  std::vector<std::string> Snippets(const std::string& text) {
    std::vector<std::string> snippets;
    for (const SearchHit& hit : Find({.text = text})) {
      snippets.push_back(hit.field + ": " + hit.snippet);
    }
    return snippets;
  }
  void TearDown() override {
    search_.reset();
    Close();
  }

  std::unique_ptr<Search> search_;
};

TEST_F(SearchTest, FindsInputsOutputsAndErrorsAndSaysWhere) {
  const Uuid operation = MakeOperation(MakeSession(), R"({"prompt":"roll out the gateway"})");
  const Uuid step =
      MakeStep(operation, R"({"command":"kubectl apply"})", R"({"out":"configured"})");
  MakeStep(operation, "{}", "", "connection refused by the gateway");
  EXPECT_THAT(Snippets("gateway"),
              UnorderedElementsAre("input: roll out the \x02gateway\x03",
                                   "error: connection refused by the \x02gateway\x03"));
  const std::vector<SearchHit> hits = Find({.text = "KUBECTL"});
  ASSERT_EQ(hits.size(), 1u);
  EXPECT_EQ(hits[0].operation, operation);
  EXPECT_EQ(hits[0].step, step);
  EXPECT_EQ(hits[0].field, "input");
  EXPECT_TRUE(hits[0].time_us.has_value());
  EXPECT_LT(hits[0].rank, 0);
  EXPECT_THAT(Snippets("command"), IsEmpty()) << "a member's name";
  EXPECT_THAT(Snippets("output:gateway"), IsEmpty());
  EXPECT_THAT(Snippets("gateway -refused"), ElementsAre(HasSubstr("roll out")));
  EXPECT_THAT(Snippets("\"refused by\""), ElementsAre(HasSubstr("\x02refused by\x03")));
  EXPECT_THAT(Snippets("\"by refused\""), IsEmpty());
  EXPECT_THAT(Snippets("config*"), ElementsAre("output: \x02"
                                               "configured\x03"));
}

TEST_F(SearchTest, TheBestMatchComesFirstThenTheNewest) {
  const Uuid operation = MakeOperation(MakeSession());
  MakeStep(operation, R"({"t":"timeout among many other words that say nothing of it at all"})",
           "");
  const Uuid second = MakeStep(operation, R"({"t":"timeout timeout"})", "");
  const Uuid third = MakeStep(operation, R"({"t":"timeout timeout"})", "");
  const std::vector<SearchHit> hits = Find({.text = "timeout"});
  ASSERT_EQ(hits.size(), 3u);
  EXPECT_EQ(hits[0].step, third);
  EXPECT_EQ(hits[1].step, second);
  EXPECT_EQ(Find({.text = "timeout", .limit = 1}).size(), 1u);
  EXPECT_EQ(Find({.text = "timeout", .limit = 1, .offset = 1})[0].step, second);
  EXPECT_THAT(Find({.text = "timeout", .offset = 3}), IsEmpty());
}

TEST_F(SearchTest, CanKeepToASessionOrAnOperation) {
  const Uuid a = MakeSession(), b = MakeSession();
  const Uuid in_a = MakeOperation(a, R"(["needle"])"), in_b = MakeOperation(b, R"(["needle"])");
  EXPECT_EQ(Find({.text = "needle"}).size(), 2u);
  ASSERT_EQ(Find({.text = "needle", .session = a}).size(), 1u);
  EXPECT_EQ(Find({.text = "needle", .session = a})[0].operation, in_a);
  EXPECT_EQ(Find({.text = "needle", .operation = in_b})[0].operation, in_b);
  EXPECT_THAT(Find({.text = "needle", .session = Uuid(schema::NewUuid())}), IsEmpty());
}

TEST_F(SearchTest, AccentsAndCaseDoNotMatterAndOtherScriptsAreWords) {
  MakeOperation(MakeSession(), R"(["Crème brûlée", "Журнал"])");
  EXPECT_EQ(Snippets("creme BRULEE").size(), 1u);
  EXPECT_EQ(Snippets("журнал").size(), 1u);
}

TEST_F(SearchTest, IsMadeAnewWhenItsFilesAreGoneOrAnothers) {
  MakeOperation(MakeSession(), R"(["needle"])");
  EXPECT_EQ(Snippets("needle").size(), 1u);
  search_.reset();
  for (const auto& entry : std::filesystem::directory_iterator(store())) {
    if (entry.path().filename().string().starts_with("search")) {
      std::filesystem::remove(entry.path());
    }
  }
  OpenSearch();
  EXPECT_EQ(Snippets("needle").size(), 1u);
  search_.reset();
  ASSERT_TRUE(test::WriteFile(std::filesystem::canonical(directory_ / "search.db"), "no database"));
  OpenSearch();
  EXPECT_EQ(Snippets("needle").size(), 1u);
}

TEST_F(SearchTest, FollowsWhileItIsOpenAndTakesUpWhereItLeftOff) {
  const Uuid session = MakeSession();
  for (int i = 0; i < 3; ++i) {
    MakeOperation(session, R"(["needle"])");
    EXPECT_EQ(Snippets("needle").size(), static_cast<size_t>(i + 1));
  }
  search_.reset();
  MakeOperation(session, R"(["needle"])");
  OpenSearch();
  EXPECT_EQ(Snippets("needle").size(), 4u);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ViewsStatus status, search_->GetStatus());
  EXPECT_THAT(journal().Size(), IsOkAndHolds(status.watermark));
}

TEST_F(SearchTest, WithoutAnIndexThatIsSaid) {
  search_.reset();
  for (const auto& entry : std::filesystem::directory_iterator(store())) {
    if (entry.path().filename().string().starts_with("search")) {
      std::filesystem::remove(entry.path());
    }
  }
  OpenSearch({.project = false});
  EXPECT_THAT(search_->Find({.text = "needle"}), StatusIs(Code::kNotFound, HasSubstr("search.db")));
  EXPECT_THAT(search_->Find({.text = "\""}), StatusIs(Code::kInvalidArgument));
}

TEST_F(SearchTest, TheViewsHaveNoPartInIt) {
  MakeOperation(MakeSession(), R"(["needle"])");
  ASSERT_THAT(CatchUp(), IsOk());
  EXPECT_EQ(Snippets("needle").size(), 1u);
  EXPECT_THAT(Column(link(), "SELECT count(*) FROM sqlite_master WHERE name LIKE 'search%'"),
              ElementsAre("0"));
}

}  // namespace
}  // namespace nimbus::projections
