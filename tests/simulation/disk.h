// A disk that a trace is played to, as a power cut would find it.
//
//   Disk disk(trace);
//   disk.AdvanceTo(cut);                                    // after `cut` records of the trace
//   Image image = disk.MakeImage([](const Slot&) { return false; });  // what is safe, no more
//
// What is on stable storage, and what may be there beside it:
//  - A sync that returned has made all changes of its file that had returned
//    before it began safe; fdatasync too, the size is needed to read the data. A
//    write through an O_SYNC or O_DSYNC descriptor makes itself safe, no other.
//  - Of what is not safe, any 512-byte sector of any write may be there or not,
//    in any order. A sector holds what it held after one of the writes to it: the
//    page cache has the earlier ones in it by then. Sizes and truncates of one
//    file come in order, each there or not, whatever of its data is; a write is
//    not there ahead of a truncate before it.
//  - A name that was made, renamed or removed is safe once its directory is
//    synced, and only then, whatever became of the file. Before, each such change
//    may be there or not; a rename is atomic.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "simulation/image.h"
#include "simulation/trace.h"

namespace nimbus::simulation {

inline constexpr uint64_t kSectorBytes = 512;

// A part of a change that is not safe: a sector of a write, or what it does to
// a size or a name.
struct Slot {
  static constexpr uint64_t kMetadata = ~uint64_t{0};
  size_t change = 0;  // of `changes` that are not safe, in the order they began
  size_t changes = 0;
  uint64_t part = 0;    // number of the sector within the write, or kMetadata
  double position = 0;  // of this part among all, in [0, 1)
};

// Whether the part is on the disk.
using Choice = std::function<bool(const Slot&)>;

class Disk {
 public:
  // Syncs, and writes that are, do nothing where `ignored` says so.
  using Ignored = std::function<bool(const Op& op)>;
  explicit Disk(const Trace& trace, Ignored ignored = nullptr);
  ~Disk();

  // Plays the records before `cut`, which must not be less than before.
  void AdvanceTo(size_t cut);

  // Changes that are not safe.
  size_t pending() const;
  Image MakeImage(const Choice& choice) const;

 private:
  struct Change;
  struct Node;
  using NodePtr = std::shared_ptr<Node>;
  struct Event {
    size_t at = 0, op = 0;
    bool ends = false;
  };
  class Painter;

  void Begin(size_t index);
  void End(size_t index);
  void Create(const Op& op, size_t index);
  void Move(const Op& op, size_t index);
  void Resize(Node* file, uint64_t size, size_t index);
  void Write(Node* file, const Op& op, size_t index);
  void ChangeNames(Node* directory, std::vector<std::pair<std::string, NodePtr>> names,
                   size_t index);
  void Sync(Node* node, size_t before);
  static void Settle(Node* node, size_t which, const Trace& trace);
  static void SettleSectors(Node* file, size_t which, const Trace& trace);

  NodePtr Find(const std::string& path) const;
  // The directory of `path` and the name in it.
  std::pair<NodePtr, std::string> FindParent(const std::string& path) const;
  Node* FileOf(const Op& op) const;

  const Trace& trace_;
  const Ignored ignored_;
  std::vector<Event> events_;
  size_t next_event_ = 0;
  std::vector<NodePtr> nodes_;  // all there ever were; the first is the root
  std::map<uint64_t, Node*> by_inode_;
};

}  // namespace nimbus::simulation
