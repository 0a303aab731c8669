#include "simulation/cases.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <random>

namespace nimbus::simulation {
namespace {

constexpr std::array<const char*, kKinds> kNames = {"all",   "none",  "all but one", "only one",
                                                    "first", "last",  "torn",        "sectors",
                                                    "pages", "whole", "data",        "metadata"};

// So many changes at one cut are each missing and alone; of more, some by chance.
constexpr size_t kEachMax = 4;

// A cut when a store has just been opened is so much more probable than another.
constexpr size_t kOpeningWeight = 20;

// A number in [0, 1) that follows from the arguments.
double Chance(uint64_t seed, uint64_t a, uint64_t b) {
  uint64_t x = seed;
  for (const uint64_t word : {a, b}) {  // splitmix64
    x += (word + 1) * 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    x ^= x >> 31;
  }
  return static_cast<double>(x >> 11) / static_cast<double>(uint64_t{1} << 53);
}

void AddAt(size_t cut, size_t pending, std::mt19937_64* random, std::vector<Case>* cases) {
  std::uniform_real_distribution<double> share;
  cases->push_back({.cut = cut, .kind = Kind::kNone});
  if (pending == 0) return;
  cases->push_back({.cut = cut, .kind = Kind::kAll});
  if (pending > 1) {
    const size_t tried = std::min(pending, kEachMax);
    for (size_t i = 0; i < tried; ++i) {
      const double within = tried < pending ? share(*random) : 0.5;
      const double which = (static_cast<double>(i) + within) / static_cast<double>(tried);
      cases->push_back({.cut = cut, .kind = Kind::kAllButOne, .share = which});
      cases->push_back({.cut = cut, .kind = Kind::kOnlyOne, .share = which});
    }
  }
  for (const Kind kind : {Kind::kFirst, Kind::kLast, Kind::kTorn, Kind::kSectors, Kind::kPages,
                          Kind::kWhole, Kind::kData, Kind::kMetadata}) {
    cases->push_back({.cut = cut, .kind = kind, .share = share(*random), .seed = (*random)()});
  }
}

}  // namespace

std::string Case::ToString() const {
  return fmt::format("cut at {}, {} ({:.3f}, {:x})", cut, kNames[static_cast<size_t>(kind)], share,
                     seed);
}

bool IsThere(const Case& power_cut, const Slot& slot) {
  const auto one = static_cast<size_t>(power_cut.share * static_cast<double>(slot.changes));
  const auto by_chance = [&](uint64_t part) {
    return Chance(power_cut.seed, slot.change, part) < power_cut.share;
  };
  switch (power_cut.kind) {
    case Kind::kAll:
      return true;
    case Kind::kNone:
      return false;
    case Kind::kAllButOne:
      return slot.change != one;
    case Kind::kOnlyOne:
      return slot.change == one;
    case Kind::kFirst:
      return slot.position < power_cut.share;
    case Kind::kLast:
      return slot.position >= power_cut.share;
    case Kind::kTorn:
      if (slot.change != one) return slot.change < one;
      return Chance(power_cut.seed, slot.change, slot.part) < 0.5;
    case Kind::kSectors:
      return by_chance(slot.part);
    case Kind::kPages:
      return by_chance(slot.part == Slot::kMetadata ? slot.part : slot.part / 8);
    case Kind::kWhole:
      return by_chance(0);
    case Kind::kData:
      return slot.part != Slot::kMetadata;
    case Kind::kMetadata:
      return slot.part == Slot::kMetadata;
  }
  return true;
}

std::vector<Case> EveryCase(const Trace& trace, const Disk::Ignored& ignored, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<Case> cases;
  Disk disk(trace, ignored);
  for (size_t cut = trace.begun; cut <= trace.records(); ++cut) {
    disk.AdvanceTo(cut);
    AddAt(cut, disk.pending(), &random, &cases);
  }
  return cases;
}

std::vector<Case> SomeCases(const Trace& trace, size_t count, uint64_t seed) {
  // Much hangs on the moments after a sync returned and something was
  // acknowledged: half of the cuts are there.
  std::vector<size_t> moments;
  for (const Said& mark : trace.marks) {
    // What a process is told when it opens may be what another left unsynced.
    const size_t weight = mark.text.starts_with("opened") ? kOpeningWeight : 1;
    if (mark.at >= trace.begun) moments.insert(moments.end(), weight, mark.at + 1);
  }
  for (const Op& op : trace.ops) {
    const bool syncs = op.call == Call::kSync || (op.flags & kThrough) != 0;
    if (!syncs || op.end == kNever || op.end < trace.begun) continue;
    moments.push_back(op.end);
    moments.push_back(op.end + 1);
  }
  std::mt19937_64 random(seed);
  const auto below = [&](size_t end) {
    return std::uniform_int_distribution<size_t>(0, end - 1)(random);
  };
  std::vector<Case> cases;
  for (size_t i = 0; i < count; ++i) {
    const bool moment = !moments.empty() && below(2) == 0;
    cases.push_back({.cut = moment ? moments[below(moments.size())]
                                   : trace.begun + below(trace.records() + 1 - trace.begun),
                     .kind = static_cast<Kind>(below(kKinds)),
                     .share = std::uniform_real_distribution<double>()(random),
                     .seed = random()});
  }
  std::stable_sort(cases.begin(), cases.end(),
                   [](const Case& a, const Case& b) { return a.cut < b.cut; });
  return cases;
}

}  // namespace nimbus::simulation
