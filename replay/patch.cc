#include "nimbus/replay/patch.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <utility>

#include "editor.h"
#include "nimbus/schema/status.h"

namespace nimbus::replay {

using schema::Error;
using schema::Json;

namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kNotFound = absl::StatusCode::kNotFound;

// A path may be as long as a patch; an error message may not.
constexpr size_t kPathBytesInMessageMax = 200;

using Tokens = Pointer;

enum class Op { kAdd, kRemove, kReplace, kMove, kCopy, kTest };

struct Operation {
  Op op = Op::kTest;
  Tokens path;
  Tokens from;            // of move and copy
  Json* value = nullptr;  // of add, replace and test; add and replace take it
};

std::optional<Op> ParseOp(std::string_view name) {
  constexpr std::array<std::string_view, 6> kNames = {"add",  "remove", "replace",
                                                      "move", "copy",   "test"};
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<Op>(found - kNames.begin());
}

absl::StatusOr<Tokens> PointerMember(const Json& item, std::string_view name) {
  const Json* member = item.Find(name);
  if (member == nullptr || !member->IsString()) {
    return Error(kInvalid, "\"{}\" must be a string", name);
  }
  return ParsePointer(member->string());
}

absl::StatusOr<Operation> ParseOperation(Json& item) {
  if (!item.IsObject()) return Error(kInvalid, "an operation must be an object");
  const std::optional<Op> op = ParseOp(item.StringOr("op"));
  if (!op.has_value()) return Error(kInvalid, "\"op\" must name one of the six operations");
  Operation operation{.op = *op, .path = {}, .from = {}, .value = item.Find("value")};
  NIMBUS_ASSIGN_OR_RETURN(operation.path, PointerMember(item, "path"));
  if (*op == Op::kMove || *op == Op::kCopy) {
    NIMBUS_ASSIGN_OR_RETURN(operation.from, PointerMember(item, "from"));
  } else if (*op != Op::kRemove && operation.value == nullptr) {
    return Error(kInvalid, "\"value\" is missing");
  }
  return operation;
}

class Application {
 public:
  Application(Json* document, const PatchLimits& limits) : limits_(limits), editor_(document) {}

  absl::Status Run(const Operation& operation) {
    switch (operation.op) {
      case Op::kAdd:
        return Add(operation.path, std::move(*operation.value));
      case Op::kRemove:
        return Remove(operation.path);
      case Op::kReplace:
        return Replace(operation.path, std::move(*operation.value));
      case Op::kMove:
        return Move(operation);
      case Op::kCopy: {
        NIMBUS_ASSIGN_OR_RETURN(const Place from, Find(operation.from));
        return Add(operation.path, editor_.At(from));
      }
      case Op::kTest: {
        NIMBUS_ASSIGN_OR_RETURN(const Place place, Find(operation.path));
        if (editor_.At(place) == *operation.value) return absl::OkStatus();
        return Error(absl::StatusCode::kFailedPrecondition, "the value is another one");
      }
    }
    return Error(absl::StatusCode::kInternal, "unknown operation");
  }

  Editor& editor() { return editor_; }

 private:
  // The place of an existing value. `tokens` may be a prefix of a path.
  absl::StatusOr<Place> Find(std::span<const std::string> tokens) {
    Place place;
    for (const std::string& token : tokens) {
      const Json& at = editor_.At(place);
      std::optional<size_t> index;
      if (at.IsArray()) {
        index = ParseIndex(token);
        if (!index.has_value() && token != "-") return Error(kInvalid, "not an array index");
        if (index.has_value() && *index >= at.array().size()) index.reset();
      } else if (const Json* found = at.Find(token)) {
        index = MemberIndex(at, found);
      }
      if (!index.has_value()) return Error(kNotFound, "there is no such value");
      place.push_back(*index);
    }
    return place;
  }

  static size_t MemberIndex(const Json& object, const Json* value) {
    const Json::Object& members = object.object();
    return static_cast<size_t>(std::find_if(members.begin(), members.end(),
                                            [&](const auto& m) { return &m.second == value; }) -
                               members.begin());
  }

  absl::Status Add(const Tokens& path, Json value) {
    if (path.empty()) return Replace(path, std::move(value));
    NIMBUS_RETURN_IF_ERROR(CheckDepth(path.size(), value));
    NIMBUS_ASSIGN_OR_RETURN(Place place, Find(std::span(path).first(path.size() - 1)));
    const Json& container = editor_.At(place);
    const std::string& token = path.back();
    if (container.IsArray()) {
      const size_t size = container.array().size();
      const std::optional<size_t> index = token == "-" ? size : ParseIndex(token);
      if (!index.has_value()) return Error(kInvalid, "not an array index");
      if (*index > size) return Error(kNotFound, "the array has only {} items", size);
      place.push_back(*index);
      editor_.Insert(place, {}, std::move(value));
    } else if (!container.IsObject()) {
      return Error(kNotFound, "what should hold the value is no array or object");
    } else if (const Json* found = container.Find(token)) {
      place.push_back(MemberIndex(container, found));
      editor_.Replace(place, std::move(value));
    } else {
      place.push_back(container.object().size());
      editor_.Insert(place, token, std::move(value));
    }
    return CheckGrowth();
  }

  absl::Status Remove(const Tokens& path) {
    if (path.empty()) return Error(kInvalid, "the whole document can't be removed");
    NIMBUS_ASSIGN_OR_RETURN(const Place place, Find(path));
    editor_.Remove(place);
    return absl::OkStatus();
  }

  absl::Status Replace(const Tokens& path, Json value) {
    NIMBUS_RETURN_IF_ERROR(CheckDepth(path.size(), value));
    NIMBUS_ASSIGN_OR_RETURN(const Place place, Find(path));
    editor_.Replace(place, std::move(value));
    return CheckGrowth();
  }

  absl::Status Move(const Operation& operation) {
    const Tokens& from = operation.from;
    const Tokens& path = operation.path;
    if (from == path) return Find(from).status();
    if (from.size() < path.size() && std::equal(from.begin(), from.end(), path.begin())) {
      return Error(kInvalid, "a value can't be moved into itself");
    }
    NIMBUS_ASSIGN_OR_RETURN(const Place place, Find(from));
    if (path.empty()) return Replace(path, Json(editor_.At(place)));
    Json value = editor_.At(place);
    editor_.Remove(place);
    return Add(path, std::move(value));
  }

  absl::Status CheckDepth(size_t above, const Json& value) const {
    if (above + Depth(value) <= limits_.depth_max) return absl::OkStatus();
    return Error(absl::StatusCode::kResourceExhausted,
                 "the document would be nested deeper than {}", limits_.depth_max);
  }

  absl::Status CheckGrowth() const {
    if (editor_.growth() <= static_cast<std::ptrdiff_t>(limits_.growth_bytes_max)) {
      return absl::OkStatus();
    }
    return Error(absl::StatusCode::kResourceExhausted,
                 "the document would grow by more than {} bytes", limits_.growth_bytes_max);
  }

  const PatchLimits limits_;
  Editor editor_;
};

absl::Status Locate(const absl::Status& status, size_t index, const Json& item) {
  return schema::Annotate(
      status, fmt::format("patch operation {} ({} {})", index, item.StringOr("op", "?"),
                          item.StringOr("path", "?").substr(0, kPathBytesInMessageMax)));
}

}  // namespace

struct Undo::Impl {
  std::vector<Editor::Inverse> inverses;
};

Undo::Undo() = default;
Undo::~Undo() = default;
Undo::Undo(Undo&&) noexcept = default;
Undo& Undo::operator=(Undo&&) noexcept = default;

void Undo::Apply(Json* document) const {
  if (impl_ != nullptr) Editor(document, impl_->inverses).RollBack();
}

absl::StatusOr<std::ptrdiff_t> ApplyPatch(Json patch, Json* document, const PatchLimits& limits,
                                          Undo* undo) {
  if (!patch.IsArray()) return Error(kInvalid, "a patch must be an array of operations");
  Application application(document, limits);
  for (size_t i = 0; i < patch.array().size(); ++i) {
    Json& item = patch.array()[i];
    const absl::StatusOr<Operation> operation = ParseOperation(item);
    const absl::Status status = operation.ok() ? application.Run(*operation) : operation.status();
    if (!status.ok()) {
      application.editor().RollBack();
      return Locate(status, i, item);
    }
  }
  const std::ptrdiff_t growth = application.editor().growth();
  if (undo != nullptr) {
    undo->impl_ = std::make_unique<Undo::Impl>(Undo::Impl{application.editor().TakeInverses()});
  }
  return growth;
}

Json AppendPatch(std::string_view array_path, std::vector<Json> items) {
  Json::Array operations;
  for (Json& item : items) {
    operations.push_back(Json::MakeObject({{"op", Json::String("add")},
                                           {"path", Json::String(std::string(array_path) + "/-")},
                                           {"value", std::move(item)}}));
  }
  return Json::MakeArray(std::move(operations));
}

}  // namespace nimbus::replay
