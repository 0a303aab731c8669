#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nimbus/replay/patch.h"

namespace nimbus::replay {

using schema::Json;

namespace {

// The text of an operation without its path and value: {"op":"replace","path":"","value":}
constexpr size_t kOperationBytes = 34;

// Bytes of the value's compact text, or some number above `limit` once it exceeds that.
size_t TextSizeUpTo(const Json& value, size_t limit) {
  switch (value.type()) {
    case Json::Type::kArray: {
      size_t size = 2;
      for (const Json& item : value.array()) {
        if (size > limit) break;
        size += TextSizeUpTo(item, limit - size) + 1;
      }
      return size;
    }
    case Json::Type::kObject: {
      size_t size = 2;
      for (const Json::Member& member : value.object()) {
        if (size > limit) break;
        size += member.first.size() + 4;
        if (size <= limit) size += TextSizeUpTo(member.second, limit - size);
      }
      return size;
    }
    case Json::Type::kString:
      return value.string().size() + 2;
    case Json::Type::kNumber:
      return value.number().size();
    default:
      return 5;
  }
}

class Differ {
 public:
  void Compare(const Json& from, const Json& to) {
    const bool arrays = from.IsArray() && to.IsArray();
    if (!arrays && !(from.IsObject() && to.IsObject())) {
      if (!(from == to)) Emit("replace", &to);
      return;
    }
    const size_t operations = operations_.size(), bytes = bytes_;
    if (arrays) {
      CompareItems(from.array(), to.array());
    } else {
      CompareMembers(from, to);
    }
    const size_t spent = bytes_ - bytes, fixed = kOperationBytes + path_.size();
    if (spent > fixed && TextSizeUpTo(to, spent - fixed) < spent - fixed) {
      operations_.erase(operations_.begin() + static_cast<std::ptrdiff_t>(operations),
                        operations_.end());
      bytes_ = bytes;
      Emit("replace", &to);
    }
  }

  Json Take() { return Json::MakeArray(std::move(operations_)); }

 private:
  void CompareMembers(const Json& from, const Json& to) {
    const KeyIndex from_keys(from.object()), to_keys(to.object());
    for (const Json::Member& member : from.object()) {
      const Scope scope(this, member.first);
      const Json* other = to_keys.Find(member.first);
      if (other == nullptr) {
        Emit("remove", nullptr);
      } else {
        Compare(member.second, *other);
      }
    }
    for (const Json::Member& member : to.object()) {
      if (from_keys.Find(member.first) != nullptr) continue;
      const Scope scope(this, member.first);
      Emit("add", &member.second);
    }
  }

  void CompareItems(const Json::Array& from, const Json::Array& to) {
    const size_t shorter = std::min(from.size(), to.size());
    size_t head = 0, tail = 0;
    while (head < shorter && from[head] == to[head]) ++head;
    while (tail < shorter - head && from[from.size() - 1 - tail] == to[to.size() - 1 - tail]) {
      ++tail;
    }
    const size_t paired_end = shorter - tail;
    for (size_t i = head; i < paired_end; ++i) {
      const Scope scope(this, std::to_string(i));
      Compare(from[i], to[i]);
    }
    for (size_t i = from.size() - tail; i > paired_end; --i) {
      const Scope scope(this, std::to_string(i - 1));
      Emit("remove", nullptr);
    }
    for (size_t i = paired_end; i < to.size() - tail; ++i) {
      const Scope scope(this, std::to_string(i));
      Emit("add", &to[i]);
    }
  }

  void Emit(std::string_view op, const Json* value) {
    Json operation =
        Json::MakeObject({{"op", Json::String(std::string(op))}, {"path", Json::String(path_)}});
    bytes_ += kOperationBytes + path_.size();
    if (value != nullptr) {
      bytes_ += TextSizeUpTo(*value, SIZE_MAX);
      operation.object().emplace_back("value", *value);
    }
    operations_.push_back(std::move(operation));
  }

  // Adds a token to the path while it lives.
  class Scope {
   public:
    Scope(Differ* differ, std::string_view token) : path_(differ->path_), size_(path_.size()) {
      AppendPointerToken(token, &path_);
    }
    ~Scope() { path_.resize(size_); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    std::string& path_;
    const size_t size_;
  };

  // Finds members in logarithmic time.
  class KeyIndex {
   public:
    explicit KeyIndex(const Json::Object& members) {
      sorted_.reserve(members.size());
      for (const Json::Member& member : members) sorted_.push_back(&member);
      std::sort(sorted_.begin(), sorted_.end(),
                [](const auto* a, const auto* b) { return a->first < b->first; });
    }

    const Json* Find(std::string_view key) const {
      const auto found = std::lower_bound(sorted_.begin(), sorted_.end(), key,
                                          [](const auto* m, auto k) { return m->first < k; });
      return found != sorted_.end() && (*found)->first == key ? &(*found)->second : nullptr;
    }

   private:
    std::vector<const Json::Member*> sorted_;
  };

  std::string path_;
  Json::Array operations_;
  size_t bytes_ = 0;  // of the operations' text, nearly
};

}  // namespace

Json Diff(const Json& from, const Json& to) {
  Differ differ;
  differ.Compare(from, to);
  return differ.Take();
}

}  // namespace nimbus::replay
