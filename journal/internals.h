// What those parts of this module that work on whole journals (range, backup,
// usage) need of a Journal beneath its public interface.
#pragma once

#include "commit_queue.h"
#include "environment.h"
#include "nimbus/journal/journal.h"

namespace nimbus::journal {

class Internals {
 public:
  static const Environment& EnvironmentOf(const Journal& journal) { return *journal.environment_; }
  static const Options& OptionsOf(const Journal& journal) { return journal.options_; }
  // Of one that is not read-only.
  static CommitQueue& QueueOf(const Journal& journal) { return *journal.queue_; }
};

}  // namespace nimbus::journal
