#include "nimbus/replay/compare.h"

#include <algorithm>
#include <string>
#include <utility>

#include "align.h"
#include "nimbus/journal/stream_reader.h"
#include "nimbus/replay/patch.h"
#include "nimbus/replay/point.h"
#include "nimbus/schema/status.h"
#include "steps.h"

namespace nimbus::replay {

using schema::Error;
using schema::Json;
using schema::Uuid;
using Kind = StepPair::Kind;

namespace {

AlignKey KeyOf(const std::string& text) {
  const schema::Digest digest = schema::Blake2b256(text);
  AlignKey key;
  std::copy_n(digest.begin(), key.size(), key.begin());
  return key;
}

// What can't be parsed is compared as text: a comparison judges no recording.
Json Parsed(const std::string& text) {
  if (text.empty()) return Json();
  absl::StatusOr<Json> value = Json::Parse(text);
  return value.ok() ? *std::move(value) : Json::String(text);
}

std::string Canonical(const std::string& text) { return schema::CanonicalJson(Parsed(text)); }

// Digests of an operation's steps.
struct Steps {
  std::vector<uint32_t> number;
  std::vector<AlignKey> call;    // type, tool, input
  std::vector<AlignKey> kind;    // type, tool
  std::vector<AlignKey> result;  // status, output, error
  std::vector<AlignKey> change;  // patch
};

void AddStep(const StepInfo& info, const StepRecord& record, Steps* steps) {
  const std::string kind =
      fmt::format("{}\n{}", static_cast<int>(info.type), Json::String(info.tool_name).Dump());
  steps->number.push_back(info.number);
  steps->kind.push_back(KeyOf(kind));
  steps->call.push_back(KeyOf(kind + "\n" + Canonical(record.input)));
  steps->result.push_back(
      KeyOf(fmt::format("{}\n{}\n{}", static_cast<int>(info.status), Canonical(record.output),
                        Json::String(record.error).Dump())));
  steps->change.push_back(KeyOf(Canonical(record.patch)));
}

absl::Status CheckCount(const Session& session, const CompareOptions& options) {
  if (session.StepCount() <= options.steps_max) return absl::OkStatus();
  return Error(absl::StatusCode::kResourceExhausted,
               "operation {} has {} steps; {} at most are compared", session.operation().ToString(),
               session.StepCount(), options.steps_max);
}

// Those that ended by `shared` are only counted.
absl::StatusOr<Steps> ReadSteps(Session* session, std::optional<uint64_t> shared, uint64_t* count) {
  Steps steps;
  for (uint32_t number = 1; number <= session->StepCount(); ++number) {
    NIMBUS_ASSIGN_OR_RETURN(const StepInfo info, session->FindStep(number));
    if (shared.has_value() && info.ended.has_value() && *info.ended <= *shared) {
      ++*count;
      continue;
    }
    NIMBUS_ASSIGN_OR_RETURN(const StepRecord record, session->ReadStep(number));
    AddStep(info, record, &steps);
  }
  return steps;
}

// The place where an operation was forked; of a fork from the very start of another
// fork, where that was. Each is of an earlier record than the one before, so it ends.
absl::StatusOr<std::optional<SharedPast>> FindFork(const journal::Journal& journal, Uuid operation,
                                                   const SessionOptions& options) {
  std::optional<SharedPast> found;
  for (uint64_t before = UINT64_MAX;;) {
    NIMBUS_ASSIGN_OR_RETURN(journal::StreamReader stream,
                            journal::StreamReader::Open(journal, schema::fb::EntityKind::operation,
                                                        operation, options.reader));
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<ForkOrigin> origin,
                            FindForkOrigin(journal, &stream));
    if (!origin.has_value() || origin->sequence >= before) return found;
    NIMBUS_ASSIGN_OR_RETURN(Session parent, Session::Open(journal, origin->parent, options));
    NIMBUS_RETURN_IF_ERROR(SeekTo(journal, PointOf(*origin), &parent));
    found = SharedPast{
        .operation = origin->parent, .step = parent.step(), .sequence = parent.sequence()};
    if (found->step > 0) return found;
    operation = origin->parent;
    before = origin->sequence;
  }
}

class Comparer {
 public:
  Comparer(const journal::Journal& journal, Session a, Session b, const CompareOptions& options)
      : journal_(journal), a_(std::move(a)), b_(std::move(b)), options_(options) {
    found_.a = a_.operation();
    found_.b = b_.operation();
    found_.steps_a = a_.StepCount();
    found_.steps_b = b_.StepCount();
  }

  absl::StatusOr<Comparison> Run() {
    NIMBUS_RETURN_IF_ERROR(CheckCount(a_, options_));
    NIMBUS_RETURN_IF_ERROR(CheckCount(b_, options_));
    NIMBUS_RETURN_IF_ERROR(FindShared());
    NIMBUS_RETURN_IF_ERROR(a_.SeekToStep(last_same_.a));
    NIMBUS_RETURN_IF_ERROR(b_.SeekToStep(last_same_.b));
    found_.start_differs = !(a_.state().document() == b_.state().document());
    if (found_.start_differs) {
      found_.first = StepPair{.kind = Kind::kState};
      found_.state_there = Difference();
    }
    NIMBUS_RETURN_IF_ERROR(ReadBoth());
    const Alignment alignment = Align(steps_a_.call, steps_b_.call, options_.edits_max);
    found_.shortest = alignment.shortest;
    for (size_t i = 0; i < alignment.pairs.size();) i = Take(alignment.pairs, i);
    if (!found_.start_differs && !found_.differences.empty()) {
      found_.first = found_.differences.front();
      found_.state_there = StateAfter(last_same_, *found_.first);
    }
    if (SeekToEnds().ok()) found_.state_in_the_end = Difference();
    return std::move(found_);
  }

 private:
  // What they share, if anything; leaves in `last_same_` after which step each goes on.
  absl::Status FindShared() {
    if (found_.a == found_.b) return absl::OkStatus();
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<SharedPast> of_a,
                            FindFork(journal_, found_.a, options_.session));
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<SharedPast> of_b,
                            FindFork(journal_, found_.b, options_.session));
    if (of_b.has_value() && of_b->operation == found_.a) {
      found_.shared = of_b;
      last_same_.a = of_b->step;
    } else if (of_a.has_value() && of_a->operation == found_.b) {
      found_.shared = of_a;
      last_same_.b = of_a->step;
    } else if (of_a.has_value() && of_b.has_value() && of_a->operation == of_b->operation &&
               of_a->step == of_b->step) {
      found_.shared = of_a;
      found_.shared->sequence = std::min(of_a->sequence, of_b->sequence);
      return CountShared();
    }
    return absl::OkStatus();
  }

  // Of a third operation.
  absl::Status CountShared() {
    SharedPast& shared = *found_.shared;
    NIMBUS_ASSIGN_OR_RETURN(Session parent,
                            Session::Open(journal_, shared.operation, options_.session));
    return parent.ForEachPoint(
        [&](const StepInfo& step) {
          shared.steps += step.ended.has_value() && *step.ended <= shared.sequence;
          return absl::OkStatus();
        },
        [](const CheckpointInfo&) { return absl::OkStatus(); });
  }

  absl::Status ReadBoth() {
    uint64_t shared = 0;
    const auto read = [&](Session* session) {
      const bool whole =
          !found_.shared.has_value() || found_.shared->operation != session->operation();
      return ReadSteps(session,
                       whole ? std::nullopt : std::optional<uint64_t>(found_.shared->sequence),
                       &shared);
    };
    NIMBUS_ASSIGN_OR_RETURN(steps_a_, read(&a_));
    NIMBUS_ASSIGN_OR_RETURN(steps_b_, read(&b_));
    if (found_.shared.has_value()) found_.shared->steps += shared;
    return absl::OkStatus();
  }

  // Takes the pair at `i`, or all that stand alone from there on; where to go on.
  size_t Take(const std::vector<AlignedPair>& pairs, size_t i) {
    const auto alone = [&](size_t at) {
      return pairs[at].a == kUnaligned || pairs[at].b == kUnaligned;
    };
    if (!alone(i)) {
      Add(pairs[i]);
      return i + 1;
    }
    std::vector<size_t> only_a, only_b;
    for (; i < pairs.size() && alone(i); ++i) {
      if (pairs[i].a != kUnaligned) only_a.push_back(pairs[i].a);
      if (pairs[i].b != kUnaligned) only_b.push_back(pairs[i].b);
    }
    TakeGap(only_a, only_b);
    return i;
  }

  // Steps of a gap that are of the same type and tool stand for each other.
  void TakeGap(const std::vector<size_t>& only_a, const std::vector<size_t>& only_b) {
    std::vector<AlignKey> kinds_a, kinds_b;
    for (const size_t i : only_a) kinds_a.push_back(steps_a_.kind[i]);
    for (const size_t i : only_b) kinds_b.push_back(steps_b_.kind[i]);
    const Alignment alignment = Align(kinds_a, kinds_b, options_.edits_max);
    found_.shortest = found_.shortest && alignment.shortest;
    for (const AlignedPair& pair : alignment.pairs) {
      Add({pair.a == kUnaligned ? kUnaligned : only_a[pair.a],
           pair.b == kUnaligned ? kUnaligned : only_b[pair.b]});
    }
  }

  Kind KindOf(const AlignedPair& pair) const {
    if (pair.b == kUnaligned) return Kind::kOnlyA;
    if (pair.a == kUnaligned) return Kind::kOnlyB;
    if (steps_a_.call[pair.a] != steps_b_.call[pair.b]) return Kind::kInput;
    if (steps_a_.result[pair.a] != steps_b_.result[pair.b]) return Kind::kResult;
    return steps_a_.change[pair.a] == steps_b_.change[pair.b] ? Kind::kSame : Kind::kState;
  }

  void Add(const AlignedPair& aligned) {
    const StepPair pair{.kind = KindOf(aligned),
                        .a = aligned.a == kUnaligned ? 0 : steps_a_.number[aligned.a],
                        .b = aligned.b == kUnaligned ? 0 : steps_b_.number[aligned.b]};
    ++CountOf(pair.kind);
    if (pair.kind == Kind::kSame) {
      if (found_.differences.empty()) last_same_ = pair;
      return;
    }
    found_.differences.push_back(pair);
  }

  uint64_t& CountOf(Kind kind) {
    switch (kind) {
      case Kind::kSame:
        return found_.pairs_same;
      case Kind::kState:
        return found_.pairs_state;
      case Kind::kResult:
        return found_.pairs_result;
      case Kind::kInput:
        return found_.pairs_input;
      case Kind::kOnlyA:
        return found_.only_a;
      case Kind::kOnlyB:
        break;
    }
    return found_.only_b;
  }

  // Where one has no step of its own there, its state is that after the last shared one.
  std::optional<Json> StateAfter(const StepPair& last_same, const StepPair& pair) {
    const uint32_t a = pair.a == 0 ? last_same.a : pair.a;
    const uint32_t b = pair.b == 0 ? last_same.b : pair.b;
    if (!a_.SeekToStep(a).ok() || !b_.SeekToStep(b).ok()) return std::nullopt;
    return Difference();
  }

  absl::Status SeekToEnds() {
    NIMBUS_RETURN_IF_ERROR(a_.SeekToEnd());
    return b_.SeekToEnd();
  }

  Json Difference() const { return Diff(a_.state().document(), b_.state().document()); }

  const journal::Journal& journal_;
  Session a_, b_;
  const CompareOptions& options_;
  Steps steps_a_, steps_b_;
  StepPair last_same_;  // before the first difference
  Comparison found_;
};

Json SharedJson(const SharedPast& shared) {
  return Json::MakeObject({{"operation", Json::String(shared.operation.ToString())},
                           {"step", Json::Uint(shared.step)},
                           {"sequence", Json::Uint(shared.sequence)},
                           {"steps", Json::Uint(shared.steps)}});
}

Json NumberOrNull(uint32_t step) { return step == 0 ? Json() : Json::Uint(step); }

}  // namespace

std::string_view KindText(Kind kind) {
  switch (kind) {
    case Kind::kSame:
      return "same";
    case Kind::kState:
      return "state";
    case Kind::kResult:
      return "result";
    case Kind::kInput:
      return "input";
    case Kind::kOnlyA:
      return "only_a";
    case Kind::kOnlyB:
      return "only_b";
  }
  return "";
}

Json Comparison::ToJson() const {
  Json json = Json::MakeObject({{"a", Json::String(a.ToString())},
                                {"b", Json::String(b.ToString())},
                                {"steps_a", Json::Uint(steps_a)},
                                {"steps_b", Json::Uint(steps_b)},
                                {"shared", shared.has_value() ? SharedJson(*shared) : Json()},
                                {"same", Json::Bool(same())},
                                {"pairs_same", Json::Uint(pairs_same)},
                                {"pairs_input", Json::Uint(pairs_input)},
                                {"pairs_result", Json::Uint(pairs_result)},
                                {"pairs_state", Json::Uint(pairs_state)},
                                {"only_a", Json::Uint(only_a)},
                                {"only_b", Json::Uint(only_b)},
                                {"start_differs", Json::Bool(start_differs)},
                                {"shortest", Json::Bool(shortest)},
                                {"first", Json()},
                                {"state_there", state_there.value_or(Json())},
                                {"state_in_the_end", state_in_the_end.value_or(Json())}});
  if (!first.has_value()) return json;
  json.Set(
      "first",
      Json::MakeObject(
          {{"kind", Json::String(start_differs ? "start" : std::string(KindText(first->kind)))},
           {"a", NumberOrNull(first->a)},
           {"b", NumberOrNull(first->b)}}));
  return json;
}

absl::StatusOr<Comparison> CompareOperations(const journal::Journal& journal, const Uuid& a,
                                             const Uuid& b, const CompareOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(Session session_a, Session::Open(journal, a, options.session));
  NIMBUS_ASSIGN_OR_RETURN(Session session_b, Session::Open(journal, b, options.session));
  return Comparer(journal, std::move(session_a), std::move(session_b), options).Run();
}

PairReader::PairReader(Session a, Session b) : a_(std::move(a)), b_(std::move(b)) {}

absl::StatusOr<PairReader> PairReader::Open(const journal::Journal& journal, const Uuid& a,
                                            const Uuid& b, const SessionOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(Session session_a, Session::Open(journal, a, options));
  NIMBUS_ASSIGN_OR_RETURN(Session session_b, Session::Open(journal, b, options));
  return PairReader(std::move(session_a), std::move(session_b));
}

absl::StatusOr<Json> PairReader::Read(const StepPair& pair) {
  Json json = Json::MakeObject({{"kind", Json::String(std::string(KindText(pair.kind)))},
                                {"a", NumberOrNull(pair.a)},
                                {"b", NumberOrNull(pair.b)}});
  Session& one = pair.a > 0 ? a_ : b_;
  const uint32_t number = pair.a > 0 ? pair.a : pair.b;
  NIMBUS_ASSIGN_OR_RETURN(const StepInfo info, one.FindStep(number));
  NIMBUS_ASSIGN_OR_RETURN(const StepRecord record, one.ReadStep(number));
  json.Set("type", Json::String(schema::fb::EnumNameStepType(info.type)));
  json.Set("tool_name", info.tool_name.empty() ? Json() : Json::String(info.tool_name));
  if (pair.a == 0 || pair.b == 0) {
    json.Set("input", Parsed(record.input));
    return json;
  }
  NIMBUS_ASSIGN_OR_RETURN(const StepRecord other, b_.ReadStep(pair.b));
  json.Set("input", Diff(Parsed(record.input), Parsed(other.input)));
  json.Set("output", Diff(Parsed(record.output), Parsed(other.output)));
  if (record.error != other.error) {
    json.Set("error", Json::MakeObject(
                          {{"a", Json::String(record.error)}, {"b", Json::String(other.error)}}));
  }
  return json;
}

}  // namespace nimbus::replay
