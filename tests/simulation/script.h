// Traces written by hand, for the tests of what is made of them.
//
//   Script script;
//   script.Create("a", 1).Write(1, 0, "text").Sync(1);
//   Disk disk(script.trace());
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "simulation/trace.h"

namespace nimbus::simulation {

class Script {
 public:
  const Trace& trace() const { return trace_; }
  size_t records() const { return trace_.records(); }

  Script& Create(std::string path, uint64_t inode, uint16_t flags = 0) {
    paths_[inode] = path;
    return Add({.call = Call::kCreate, .flags = flags, .inode = inode, .path = std::move(path)});
  }
  Script& MakeDirectory(std::string path) {
    return Add({.call = Call::kMakeDirectory, .path = std::move(path)});
  }
  Script& Write(uint64_t inode, uint64_t offset, std::string data, uint16_t flags = 0) {
    return Add({.call = Call::kWrite,
                .flags = flags,
                .inode = inode,
                .offset = offset,
                .data = std::move(data)});
  }
  Script& Truncate(uint64_t inode, uint64_t size) {
    return Add({.call = Call::kTruncate, .inode = inode, .offset = size});
  }
  Script& Extend(uint64_t inode, uint64_t size) {
    return Add({.call = Call::kExtend, .inode = inode, .offset = size});
  }
  Script& Sync(uint64_t inode) { return Add({.call = Call::kSync, .inode = inode}); }
  // Of a directory; "" is the root.
  Script& SyncPath(std::string path) { return Add({.call = Call::kSync, .path = std::move(path)}); }
  Script& Rename(std::string from, std::string to) {
    return Add({.call = Call::kRename, .path = std::move(from), .second_path = std::move(to)});
  }
  Script& Unlink(std::string path) { return Add({.call = Call::kUnlink, .path = std::move(path)}); }
  Script& Mark(std::string text, int64_t micros = 0) {
    micros_ += micros;
    trace_.marks.push_back({records(), std::move(text)});
    trace_.micros.push_back(micros_);
    return *this;
  }

  // A call that begins, and one that returns: the one begun first of those that
  // have not.
  Script& Begin(Op op) {
    if (op.path.empty() && op.inode != 0) op.path = paths_[op.inode];
    op.begin = records();
    trace_.ops.push_back(std::move(op));
    trace_.micros.push_back(micros_);
    return *this;
  }
  Script& Return() {
    for (Op& op : trace_.ops) {
      if (op.end != kNever) continue;
      op.end = records();
      trace_.micros.push_back(micros_);
      break;
    }
    return *this;
  }

 private:
  Script& Add(Op op) {
    Begin(std::move(op));
    trace_.ops.back().end = records();
    trace_.micros.push_back(micros_);
    return *this;
  }

  Trace trace_;
  std::map<uint64_t, std::string> paths_;  // a call on a descriptor is recorded with both
  int64_t micros_ = 0;
};

}  // namespace nimbus::simulation
