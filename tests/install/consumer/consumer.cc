// Appends an event to the journal of the directory given, reads it back, and
// prints the session's name.
#include <iostream>
#include <memory>

#include "nimbus/journal/journal.h"
#include "nimbus/journal/reader.h"
#include "nimbus/schema/event.h"
#include "nimbus/schema/status.h"

namespace {

using nimbus::journal::Appended;
using nimbus::journal::Journal;
using nimbus::journal::Reader;
using nimbus::journal::RecordView;
namespace fb = nimbus::schema::fb;

absl::StatusOr<std::string> RecordSession(const std::string& store) {
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Journal> journal, Journal::Open(store, {}));
  nimbus::schema::Event event = nimbus::schema::MakeEvent(
      fb::EntityKind::session, nimbus::schema::NewUuid(), fb::SessionStartedT{});
  event.body.name = "from outside";
  NIMBUS_ASSIGN_OR_RETURN(const Appended appended, journal->Append(event));
  Reader reader(*journal);
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* record, reader.Read(appended.first));
  NIMBUS_ASSIGN_OR_RETURN(const fb::Body* body, reader.Body(*record));
  return body->name()->str();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 64;
  const absl::StatusOr<std::string> name = RecordSession(argv[1]);
  if (!name.ok()) {
    std::cerr << name.status().ToString() << "\n";
    return 1;
  }
  std::cout << *name << "\n";
  return 0;
}
