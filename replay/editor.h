// Changes to one JSON document that can be taken back. Private to replay.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "nimbus/schema/json.h"

namespace nimbus::replay {

// Where a value is: the index in its container, of every container from the
// root on. Indices outlast what pointers into the document do not.
using Place = std::vector<size_t>;

// Bytes of the value's compact text.
size_t TextSize(const schema::Json& value);

// Containers open at once in the value's text.
size_t Depth(const schema::Json& value);

// Keeps the inverse of each change until it is destroyed.
class Editor {
 public:
  struct Inverse {
    enum class Kind { kInsert, kRemove, kReplace } kind;
    Place place;
    std::string key;
    schema::Json value;
  };

  // `inverses`: of changes that were made before, and may be undone.
  explicit Editor(schema::Json* root, std::vector<Inverse> inverses = {})
      : root_(*root), inverses_(std::move(inverses)) {}

  schema::Json& At(std::span<const size_t> place);

  // Puts `value` before what is at `place`, under `key` if the container is an object.
  void Insert(const Place& place, std::string key, schema::Json value);
  void Remove(const Place& place);
  void Replace(const Place& place, schema::Json value);

  // By how many bytes the document's text has grown.
  std::ptrdiff_t growth() const { return growth_; }

  // Undoes every change, in reverse order.
  void RollBack();

  // So that they can be undone later.
  std::vector<Inverse> TakeInverses() { return std::exchange(inverses_, {}); }

 private:
  using Kind = Inverse::Kind;

  schema::Json& Container(const Place& place);
  // The bytes that the element at `place` takes in its container.
  std::ptrdiff_t ElementSize(const Place& place);
  void RawInsert(const Place& place, std::string key, schema::Json value);
  schema::Json::Member RawRemove(const Place& place);

  schema::Json& root_;
  std::ptrdiff_t growth_ = 0;
  std::vector<Inverse> inverses_;
};

}  // namespace nimbus::replay
