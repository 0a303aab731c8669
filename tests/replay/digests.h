// The states of an operation as digests, one after the other.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "nimbus/replay/session.h"
#include "nimbus/schema/digest.h"
#include "nimbus/schema/status.h"

namespace nimbus::replay {

// A start, the end of a step or a checkpoint, and the state right after it.
struct PointDigest {
  Moment::Kind kind = Moment::Kind::kStart;
  uint32_t step = 0;
  schema::Digest digest{};
  friend bool operator==(const PointDigest&, const PointDigest&) = default;
};

// Of every point from the first to the last. DataLoss: a patch does not apply.
inline absl::StatusOr<std::vector<PointDigest>> ReadDigests(const journal::Journal& journal,
                                                            const schema::Uuid& operation) {
  NIMBUS_ASSIGN_OR_RETURN(Session session, Session::OpenRewound(journal, operation));
  std::vector<PointDigest> points;
  for (;;) {
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<Moment> moment, session.Next());
    if (!moment.has_value()) return points;
    NIMBUS_RETURN_IF_ERROR(moment->fold);
    const bool changed = points.empty() || moment->kind != Moment::Kind::kStep || moment->patched;
    points.push_back({.kind = moment->kind,
                      .step = moment->step,
                      .digest = changed ? session.state().Digest() : points.back().digest});
  }
}

// The first 16 hex digits of a digest of all of them, and of the last.
struct DigestRow {
  size_t points = 0;
  std::string end, sequence;

  void Add(const std::vector<PointDigest>& points_of_one) {
    points += points_of_one.size();
    for (const PointDigest& point : points_of_one) AddHex(point.digest, &sequence);
    if (!points_of_one.empty()) AddHex(points_of_one.back().digest, &end);
  }
  // "points<TAB>end<TAB>sequence"
  std::string Text() const {
    return fmt::format("{}\t{}\t{}", points, Short(end), Short(sequence));
  }

 private:
  static void AddHex(const schema::Digest& digest, std::string* text) {
    *text += schema::ToHex(digest);
  }
  static std::string Short(const std::string& text) {
    return schema::ToHex(schema::Blake2b256(text)).substr(0, 16);
  }
};

}  // namespace nimbus::replay
