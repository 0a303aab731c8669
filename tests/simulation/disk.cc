#include "simulation/disk.h"

#include <algorithm>
#include <optional>

#include "nimbus/schema/check.h"

namespace nimbus::simulation {

struct Disk::Change {
  size_t op = 0;
  // Of a file.
  bool writes = false, shrinks = false, sizes = false;
  uint64_t size = 0;          // that it sets, if `sizes`
  std::vector<bool> settled;  // sectors of the write that are safe
  // Of a directory: name → what it stands for from then on.
  std::vector<std::pair<std::string, NodePtr>> names;

  uint64_t parts() const { return settled.size() + 1; }
};

struct Disk::Node {
  enum class Kind { kFile, kDirectory, kLink } kind = Kind::kFile;
  std::string text;  // of a link
  // Safe.
  Contents contents;
  std::map<std::string, NodePtr> names;
  // As the program sees it.
  uint64_t size_now = 0;
  std::map<std::string, NodePtr> names_now;
  std::vector<Change> pending;  // in the order they began
};

namespace {

uint64_t FirstSector(const Op& op) { return op.offset / kSectorBytes; }

uint64_t SectorsOf(const Op& op) {
  return (op.offset + op.data.size() + kSectorBytes - 1) / kSectorBytes - FirstSector(op);
}

// The bytes of a write that lie in a sector of the file.
void WriteSector(const Op& op, uint64_t sector, Contents* contents) {
  const uint64_t from = std::max(op.offset, sector * kSectorBytes);
  const uint64_t to = std::min(op.offset + op.data.size(), (sector + 1) * kSectorBytes);
  contents->Write(from, std::string_view(op.data).substr(from - op.offset, to - from));
}

}  // namespace

Disk::Disk(const Trace& trace, Ignored ignored) : trace_(trace), ignored_(std::move(ignored)) {
  nodes_.push_back(std::make_shared<Node>());
  nodes_.front()->kind = Node::Kind::kDirectory;
  for (size_t i = 0; i < trace_.ops.size(); ++i) {
    events_.push_back({.at = trace_.ops[i].begin, .op = i});
    if (trace_.ops[i].end != kNever) {
      events_.push_back({.at = trace_.ops[i].end, .op = i, .ends = true});
    }
  }
  std::sort(events_.begin(), events_.end(),
            [](const Event& a, const Event& b) { return a.at < b.at; });
}

Disk::~Disk() {
  for (const NodePtr& node : nodes_) {  // they may name each other
    node->names.clear();
    node->names_now.clear();
    node->pending.clear();
  }
}

void Disk::AdvanceTo(size_t cut) {
  for (; next_event_ < events_.size() && events_[next_event_].at < cut; ++next_event_) {
    const Event& event = events_[next_event_];
    event.ends ? End(event.op) : Begin(event.op);
  }
}

Disk::NodePtr Disk::Find(const std::string& path) const {
  NodePtr node = nodes_.front();
  for (size_t from = 0; from < path.size();) {
    const size_t slash = std::min(path.find('/', from), path.size());
    const auto entry = node->names_now.find(path.substr(from, slash - from));
    if (entry == node->names_now.end()) return nullptr;
    node = entry->second;
    from = slash + 1;
  }
  return node;
}

std::pair<Disk::NodePtr, std::string> Disk::FindParent(const std::string& path) const {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {nodes_.front(), path};
  const NodePtr parent = Find(path.substr(0, slash));
  NIMBUS_CHECK(parent != nullptr);
  return {parent, path.substr(slash + 1)};
}

Disk::Node* Disk::FileOf(const Op& op) const {
  // Files are known by inode, since their names change; directories by name.
  Node* named = Find(op.path).get();
  if (named != nullptr && named->kind == Node::Kind::kDirectory) return named;
  const auto known = by_inode_.find(op.inode);
  return known != by_inode_.end() ? known->second : named;
}

void Disk::Begin(size_t index) {
  const Op& op = trace_.ops[index];
  switch (op.call) {
    case Call::kCreate:
    case Call::kMakeDirectory:
    case Call::kSymlink:
      return Create(op, index);
    case Call::kRename:
    case Call::kLink:
    case Call::kUnlink:
      return Move(op, index);
    case Call::kWrite:
      return Write(FileOf(op), op, index);
    case Call::kTruncate:
      return Resize(FileOf(op), op.offset, index);
    case Call::kExtend:
      return Resize(FileOf(op), std::max(op.offset, FileOf(op)->size_now), index);
    default:
      return;  // a sync has done nothing before it returned
  }
}

void Disk::Create(const Op& op, size_t index) {
  const auto [parent, name] = FindParent(op.path);
  NodePtr& node = parent->names_now[name];
  if (node == nullptr) {
    node = nodes_.emplace_back(std::make_shared<Node>());
    if (op.call == Call::kMakeDirectory) node->kind = Node::Kind::kDirectory;
    if (op.call == Call::kSymlink) node->kind = Node::Kind::kLink;
    node->text = op.second_path;
    ChangeNames(parent.get(), {{name, node}}, index);
  }
  if (op.inode != 0) by_inode_[op.inode] = node.get();
  if ((op.flags & kTruncates) != 0) Resize(node.get(), 0, index);
}

void Disk::Move(const Op& op, size_t index) {
  const auto [from, name] = FindParent(op.path);
  const NodePtr node = from->names_now[name];
  std::vector<std::pair<std::string, NodePtr>> names;
  if (op.call != Call::kLink) names.emplace_back(name, nullptr);
  if (op.call != Call::kUnlink) {
    const auto [to, new_name] = FindParent(op.second_path);
    NIMBUS_CHECK(to == from && node != nullptr);  // between directories: nobody needs it yet
    names.emplace_back(new_name, node);
  }
  for (const auto& [changed, stands_for] : names) {
    if (stands_for == nullptr) {
      from->names_now.erase(changed);
    } else {
      from->names_now[changed] = stands_for;
    }
  }
  ChangeNames(from.get(), std::move(names), index);
}

void Disk::ChangeNames(Node* directory, std::vector<std::pair<std::string, NodePtr>> names,
                       size_t index) {
  Change change{.op = index};
  change.names = std::move(names);
  directory->pending.push_back(std::move(change));
}

void Disk::Resize(Node* file, uint64_t size, size_t index) {
  NIMBUS_CHECK(file != nullptr);  // a file from before the recording
  if (size == file->size_now) return;
  file->pending.push_back(
      {.op = index, .shrinks = size < file->size_now, .sizes = true, .size = size});
  file->size_now = size;
}

void Disk::Write(Node* file, const Op& op, size_t index) {
  NIMBUS_CHECK(file != nullptr);  // a file from before the recording
  if (op.data.empty()) return;
  const uint64_t end = op.offset + op.data.size();
  Change change{.op = index, .writes = true, .sizes = end > file->size_now, .size = end};
  change.settled.resize(SectorsOf(op));
  file->pending.push_back(std::move(change));
  file->size_now = std::max(file->size_now, end);
}

void Disk::End(size_t index) {
  const Op& op = trace_.ops[index];
  if (ignored_ && ignored_(op)) return;
  if (op.call == Call::kSync) {
    if (Node* node = FileOf(op); node != nullptr) Sync(node, op.begin);
  } else if (op.call == Call::kSyncAll) {
    for (const NodePtr& node : nodes_) Sync(node.get(), op.begin);
  } else if (op.call == Call::kWrite && (op.flags & kThrough) != 0) {
    Node* file = FileOf(op);
    for (size_t i = 0; i < file->pending.size(); ++i) {
      if (file->pending[i].op == index) return Settle(file, i, trace_);
    }
  }
}

// Makes safe what had returned before the record `before`.
void Disk::Sync(Node* node, size_t before) {
  for (size_t i = 0; i < node->pending.size();) {
    const size_t end = trace_.ops[node->pending[i].op].end;
    if (end == kNever || end > before) {
      ++i;
      continue;
    }
    const size_t pending = node->pending.size();
    Settle(node, i, trace_);
    i -= pending - 1 - node->pending.size();  // those before it that went with it
  }
}

// Makes the change safe, and what it can't be there without: a truncate all
// changes of its file before it, a name all of its directory.
void Disk::Settle(Node* node, size_t which, const Trace& trace) {
  const auto is_shrink = [](const Change& change) { return change.shrinks; };
  const auto begin = node->pending.begin();
  const bool all = node->kind == Node::Kind::kDirectory || node->pending[which].shrinks;
  const size_t first =
      all ? which
          : static_cast<size_t>(std::find_if(std::make_reverse_iterator(begin + which),
                                             std::make_reverse_iterator(begin), is_shrink)
                                    .base() -
                                begin);
  for (size_t i = 0; i < first; ++i) Settle(node, 0, trace);
  which -= first;

  SettleSectors(node, which, trace);
  Change& change = node->pending[which];
  if (change.shrinks) node->contents.ZeroFrom(change.size);
  if (change.sizes) {
    node->contents.set_size(change.size);
    for (size_t i = 0; i < which; ++i) node->pending[i].sizes = false;
  }
  for (const auto& [name, stands_for] : change.names) {
    if (stands_for == nullptr) {
      node->names.erase(name);
    } else {
      node->names[name] = stands_for;
    }
  }
  node->pending.erase(node->pending.begin() + static_cast<ptrdiff_t>(which));
}

void Disk::SettleSectors(Node* file, size_t which, const Trace& trace) {
  const Change& change = file->pending[which];
  const uint64_t first = FirstSector(trace.ops[change.op]);
  for (size_t s = 0; s < change.settled.size(); ++s) {
    if (change.settled[s]) continue;
    for (size_t i = 0; i <= which; ++i) {
      Change& earlier = file->pending[i];
      const Op& op = trace.ops[earlier.op];
      const uint64_t part = first + s - FirstSector(op);
      if (!earlier.writes || first + s < FirstSector(op)) continue;
      if (part >= earlier.settled.size() || earlier.settled[part]) continue;
      WriteSector(op, first + s, &file->contents);
      earlier.settled[part] = true;
    }
  }
}

size_t Disk::pending() const {
  size_t count = 0;
  for (const NodePtr& node : nodes_) count += node->pending.size();
  return count;
}

// Makes one image of the disk.
class Disk::Painter {
 public:
  Painter(const Disk& disk, const Choice& choice) : trace_(disk.trace_), choice_(choice) {
    for (const NodePtr& node : disk.nodes_) {
      for (const Change& change : node->pending) places_[&change].op = change.op;
    }
    Number();
    Add(*disk.nodes_.front(), "");
  }

  Image Take() { return std::move(image_); }

 private:
  struct Place {
    size_t op = 0, rank = 0;
    uint64_t parts_before = 0;
  };

  void Number() {
    std::vector<std::pair<const Change*, Place*>> order;
    for (auto& [change, place] : places_) order.emplace_back(change, &place);
    std::sort(order.begin(), order.end(),
              [](const auto& a, const auto& b) { return a.second->op < b.second->op; });
    for (size_t i = 0; i < order.size(); ++i) {
      order[i].second->rank = i;
      order[i].second->parts_before = parts_;
      parts_ += order[i].first->parts();
    }
  }

  bool Has(const Change& change, uint64_t part) const {
    const Place& place = places_.at(&change);
    const uint64_t before = part == Slot::kMetadata ? change.settled.size() : part;
    return choice_({.change = place.rank,
                    .changes = places_.size(),
                    .part = part,
                    .position = static_cast<double>(place.parts_before + before) /
                                static_cast<double>(parts_)});
  }

  void Add(const Node& node, const std::string& path) {
    if (node.kind == Node::Kind::kFile) {
      image_.files[path] = Paint(node);
      return;
    }
    if (node.kind == Node::Kind::kLink) {
      image_.links[path] = node.text;
      return;
    }
    if (!path.empty()) image_.directories.insert(path);
    std::map<std::string, NodePtr> names = node.names;
    for (const Change& change : node.pending) {
      if (!Has(change, Slot::kMetadata)) continue;
      for (const auto& [name, stands_for] : change.names) names[name] = stands_for;
    }
    for (const auto& [name, stands_for] : names) {
      if (stands_for != nullptr) Add(*stands_for, path.empty() ? name : path + "/" + name);
    }
  }

  Contents Paint(const Node& file) const {
    Contents contents = file.contents;
    const std::vector<Change>& pending = file.pending;
    std::optional<size_t> sized;  // the last change of the size that is there
    for (size_t i = 0; i < pending.size(); ++i) {
      if (pending[i].sizes && Has(pending[i], Slot::kMetadata)) sized = i;
    }
    size_t limit = pending.size();  // from the first truncate on that is not there, nothing is
    for (size_t i = 0; i < limit; ++i) {
      if (pending[i].shrinks && (!sized.has_value() || i > *sized)) limit = i;
    }
    const std::map<uint64_t, size_t> last = LastWrites(pending, limit);
    for (size_t i = 0; i < limit; ++i) {
      const Change& change = pending[i];
      const Op& op = trace_.ops[change.op];
      for (size_t s = 0; s < change.settled.size(); ++s) {
        const uint64_t sector = FirstSector(op) + s;
        const auto until = last.find(sector);
        if (change.settled[s] || until == last.end() || i > until->second) continue;
        WriteSector(op, sector, &contents);
      }
      if (change.shrinks) contents.ZeroFrom(change.size);
    }
    if (sized.has_value()) contents.set_size(pending[*sized].size);
    return contents;
  }

  // Sector → the last of the changes that is there in it, and with it those before.
  std::map<uint64_t, size_t> LastWrites(const std::vector<Change>& pending, size_t limit) const {
    std::map<uint64_t, size_t> last;
    for (size_t i = 0; i < limit; ++i) {
      const uint64_t first = FirstSector(trace_.ops[pending[i].op]);
      for (size_t s = 0; s < pending[i].settled.size(); ++s) {
        if (!pending[i].settled[s] && Has(pending[i], s)) last[first + s] = i;
      }
    }
    return last;
  }

  const Trace& trace_;
  const Choice& choice_;
  std::map<const Change*, Place> places_;
  uint64_t parts_ = 0;
  Image image_;
};

Image Disk::MakeImage(const Choice& choice) const { return Painter(*this, choice).Take(); }

}  // namespace nimbus::simulation
