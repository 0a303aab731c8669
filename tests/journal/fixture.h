// A journal in a temporary store, and events to put into it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "journal/events.h"
#include "nimbus/journal/journal.h"
#include "nimbus/journal/reader.h"
#include "testing/files.h"
#include "testing/status_matchers.h"

namespace nimbus::journal {

using ::nimbus::test::IsOk;
using ::nimbus::test::IsOkAndHolds;
using ::nimbus::test::StatusIs;
using Code = absl::StatusCode;

class JournalTest : public ::testing::Test {
 protected:
  void SetUp() override { Open(); }

  void Open(Options options = {}) {
    journal_.reset();
    absl::StatusOr<std::unique_ptr<Journal>> opened = Journal::Open(store(), options);
    ASSERT_THAT(opened, IsOk());
    journal_ = *std::move(opened);
  }

  std::string store() const { return (directory_ / "store").string(); }

  // A session, and an operation in it, both begun.
  void Begin() {
    ASSERT_THAT(journal_->Append(SessionStarted(session_)), IsOk());
    ASSERT_THAT(journal_->Append(OperationCreated(operation_, session_)), IsOk());
  }

  test::TempDir directory_;
  std::unique_ptr<Journal> journal_;
  const Uuid session_ = schema::NewUuid();
  const Uuid operation_ = schema::NewUuid();
};

}  // namespace nimbus::journal
