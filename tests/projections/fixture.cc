#include "fixture.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "nimbus/schema/json.h"
#include "testing/status_matchers.h"

namespace nimbus::projections {

namespace fb = schema::fb;
using schema::Event;
using schema::MakeEvent;
using schema::Uuid;
using sqlite::Connection;
using sqlite::Statement;

absl::StatusOr<std::string> DumpTables(const std::string& path) {
  NIMBUS_ASSIGN_OR_RETURN(Connection db,
                          Connection::Open(path, {.mode = Connection::Mode::kReadOnly}));
  NIMBUS_ASSIGN_OR_RETURN(
      Statement tables,
      db.Prepare("SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE "
                 "'sqlite_%' ORDER BY name"));
  std::string dump;
  NIMBUS_ASSIGN_OR_RETURN(bool more, tables.First());
  for (; more;) {
    const std::string name(tables.Text(0));
    dump += fmt::format("== {}\n{}\n", name, tables.Text(1));
    const std::string columns = name == "migrations" ? "version, name" : "rowid, *";
    NIMBUS_ASSIGN_OR_RETURN(
        Statement rows, db.Prepare(fmt::format("SELECT {} FROM {} ORDER BY rowid", columns, name)));
    NIMBUS_ASSIGN_OR_RETURN(bool row, rows.First());
    for (; row;) {
      for (int i = 0; i < rows.columns(); ++i) {
        dump += rows.IsNull(i) ? "|NULL" : fmt::format("|{}", rows.Text(i));
      }
      dump += '\n';
      NIMBUS_ASSIGN_OR_RETURN(row, rows.Next());
    }
    NIMBUS_ASSIGN_OR_RETURN(more, tables.Next());
  }
  return dump;
}

std::vector<std::string> Column(const std::string& path, std::string_view sql) {
  const auto select = [&]() -> absl::StatusOr<std::vector<std::string>> {
    NIMBUS_ASSIGN_OR_RETURN(Connection db,
                            Connection::Open(path, {.mode = Connection::Mode::kReadOnly}));
    NIMBUS_ASSIGN_OR_RETURN(Statement rows, db.Prepare(sql));
    std::vector<std::string> values;
    NIMBUS_ASSIGN_OR_RETURN(bool row, rows.First());
    for (; row;) {
      values.push_back(rows.IsNull(0) ? "NULL" : std::string(rows.Text(0)));
      NIMBUS_ASSIGN_OR_RETURN(row, rows.Next());
    }
    return values;
  };
  absl::StatusOr<std::vector<std::string>> values = select();
  if (!values.ok()) return {values.status().ToString()};
  return *std::move(values);
}

std::vector<schema::Event> OperationEvents(const Uuid& session, int steps) {
  const Uuid id = schema::NewUuid();
  std::vector<schema::Event> events;
  const auto add = [&](auto payload) -> fb::BodyT& {
    events.push_back(MakeEvent(fb::EntityKind::operation, id, std::move(payload)));
    return events.back().body;
  };
  fb::OperationCreatedT created;
  created.session = std::make_unique<fb::Id>(session.ToFb());
  created.type = "deploy";
  add(std::move(created)).input = R"({"prompt":"put the service on the new cluster"})";
  add(fb::OperationStartedT{}).state = R"({"messages":[]})";
  for (int i = 1; i <= steps; ++i) {
    const Uuid step = schema::NewUuid();
    fb::StepAddedT added;
    added.step = std::make_unique<fb::Id>(step.ToFb());
    added.type = i % 2 == 0 ? fb::StepType::tool_call : fb::StepType::llm_call;
    added.tool_name = i % 2 == 0 ? "bash" : "";
    add(std::move(added)).input = fmt::format(R"({{"command":"kubectl get pods","n":{}}})", i);
    fb::StepCompletedT completed;
    completed.step = std::make_unique<fb::Id>(step.ToFb());
    completed.outcome = std::make_unique<fb::OutcomeT>();
    completed.outcome->duration_ms = 100 + i;
    add(std::move(completed)).output = fmt::format(R"({{"stdout":"pod-{} Running","exit":0}})", i);
    if (i % 5 != 0) continue;
    fb::CheckpointCreatedT checkpoint;
    checkpoint.checkpoint = std::make_unique<fb::Id>(schema::NewUuid().ToFb());
    checkpoint.step = std::make_unique<fb::Id>(step.ToFb());
    fb::BodyT& body = add(std::move(checkpoint));
    body.name = fmt::format("after step {}", i);
    body.state = fmt::format(R"({{"messages":["{}"]}})", std::string(200, 'm'));
  }
  fb::OperationCompletedT done;
  done.outcome = std::make_unique<fb::OutcomeT>();
  done.outcome->tokens_used = 1234;
  done.outcome->cost_microdollars = 15'000;
  add(std::move(done)).output = R"({"text":"deployed"})";
  return events;
}

absl::Status AppendHistory(journal::Journal* journal, int operations) {
  const Uuid session = schema::NewUuid();
  NIMBUS_RETURN_IF_ERROR(
      journal->Append(MakeEvent(fb::EntityKind::session, session, fb::SessionStartedT{})).status());
  constexpr size_t kAtOnce = 500;  // one flush for about twenty operations
  std::vector<schema::Event> events;
  for (int i = 1; i <= operations; ++i) {
    for (schema::Event& event : OperationEvents(session, 10)) events.push_back(std::move(event));
    if (events.size() < kAtOnce && i < operations) continue;
    NIMBUS_RETURN_IF_ERROR(journal->Append(events).status());
    events.clear();
  }
  return absl::OkStatus();
}

absl::Status StoreTest::Open(DatabaseOptions options) {
  database_.reset();
  options.journal.clock = &clock_;
  NIMBUS_ASSIGN_OR_RETURN(database_, Database::Open(store(), options));
  return absl::OkStatus();
}

std::vector<std::string> StoreTest::Sql(std::string_view sql) {
  EXPECT_THAT(CatchUp(), test::IsOk());
  return Column(link(), sql);
}

void StoreTest::ExpectRowsAsRebuilt() {
  ASSERT_THAT(CatchUp(), test::IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ViewsStatus status, database_->GetViewsStatus());
  EXPECT_EQ(status.quarantined, 0u);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::string grown, DumpTables(link()));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const RebuildReport report, database_->Rebuild());
  EXPECT_FALSE(report.difference) << report.difference->ToString();
  ASSERT_THAT(CatchUp(), test::IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::string rebuilt, DumpTables(link()));
  EXPECT_TRUE(grown == rebuilt) << "the tables differ from those of a rebuild";
}

void StoreTest::DeleteViews() {
  for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
    if (entry.path().filename().string().starts_with("views")) {
      std::filesystem::remove(entry.path());
    }
  }
}

std::vector<std::string> StoreTest::Generations() const {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("views-") && name.ends_with(".db")) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace nimbus::projections
