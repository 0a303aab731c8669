#include "simulation/trace.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <utility>

#include "testing/files.h"

namespace nimbus::simulation {
namespace {

struct Record {
  RecordHeader header;
  std::string_view path, second_path, data;
};

std::string_view Take(std::string_view* bytes, size_t size) {
  const std::string_view taken = bytes->substr(0, size);
  bytes->remove_prefix(size);
  return taken;
}

std::optional<Record> TakeRecord(std::string_view* bytes) {
  Record record;
  RecordHeader& header = record.header;
  if (bytes->size() < sizeof(header)) return std::nullopt;
  std::memcpy(&header, Take(bytes, sizeof(header)).data(), sizeof(header));
  const uint64_t rest = uint64_t{header.path_bytes} + header.second_path_bytes + header.data_bytes;
  if (bytes->size() < rest || header.call > Call::kUnsupported) return std::nullopt;
  record.path = Take(bytes, header.path_bytes);
  record.second_path = Take(bytes, header.second_path_bytes);
  record.data = Take(bytes, header.data_bytes);
  return record;
}

Op OpOf(const Record& record, size_t at) {
  return {.call = record.header.call,
          .flags = record.header.flags,
          .inode = record.header.inode,
          .offset = static_cast<uint64_t>(record.header.offset),
          .path = std::string(record.path),
          .second_path = std::string(record.second_path),
          .data = std::string(record.data),
          .begin = at};
}

// Puts the outcome into the call; false when it failed.
bool Return(const RecordHeader& header, size_t at, Op* op) {
  op->end = at;
  if (header.offset < 0) return false;
  if (op->call == Call::kCreate) op->inode = header.inode;
  if (op->call == Call::kWrite) op->data.resize(static_cast<size_t>(header.offset));
  return true;
}

class Parser {
 public:
  void Add(const Record& record) {
    const size_t at = trace_.micros.size();
    trace_.micros.push_back(record.header.micros);
    switch (record.header.call) {
      case Call::kReturned:
        if (const auto op = calls_.find(record.header.id); op != calls_.end()) {
          failed_[op->second] = !Return(record.header, at, &trace_.ops[op->second]);
          calls_.erase(op);
        }
        break;
      case Call::kMark:
        if (record.data == "begun") trace_.begun = at + 1;
        trace_.marks.push_back({at, std::string(record.data)});
        break;
      case Call::kSnapshot:
        trace_.snapshots.push_back({at, std::string(record.path), std::string(record.data)});
        break;
      case Call::kUnsupported:
        trace_.unsupported.emplace_back(record.data);
        break;
      default:
        calls_[record.header.id] = trace_.ops.size();
        trace_.ops.push_back(OpOf(record, at));
        failed_.push_back(false);
    }
  }

  Trace Finish() {
    std::vector<Op> ops;
    for (size_t i = 0; i < trace_.ops.size(); ++i) {
      if (!failed_[i]) ops.push_back(std::move(trace_.ops[i]));
    }
    trace_.ops = std::move(ops);
    return std::move(trace_);
  }

 private:
  Trace trace_;
  std::vector<bool> failed_;          // of each op
  std::map<uint64_t, size_t> calls_;  // not returned yet: id → index
};

}  // namespace

absl::StatusOr<Trace> ParseTrace(std::string_view bytes) {
  Parser parser;
  while (!bytes.empty()) {
    const std::optional<Record> record = TakeRecord(&bytes);
    if (!record.has_value()) return absl::DataLossError("the trace ends within a record");
    parser.Add(*record);
  }
  return parser.Finish();
}

absl::StatusOr<Trace> ReadTrace(const std::string& path) {
  const std::optional<std::string> bytes = test::ReadFile(path);
  if (!bytes.has_value()) return absl::NotFoundError(path + ": no trace");
  return ParseTrace(*bytes);
}

}  // namespace nimbus::simulation
