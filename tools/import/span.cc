#include "tools/import/span.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <string_view>
#include <utility>

#include "nimbus/schema/clock.h"
#include "nimbus/schema/status.h"
#include "tools/import/document.h"

namespace nimbus::tools::import {
namespace {

using schema::Error;
using schema::Json;
using Code = absl::StatusCode;

constexpr size_t kTraceDigits = 32, kSpanDigits = 16;
constexpr uint64_t kRemoteParentFlags = 0x300;  // known, and so

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

// ---- Ids

// The hex form, `digits` long, of a decimal number; empty when it has no such form.
std::string HexOfDecimal(std::string_view decimal, size_t digits) {
  std::array<uint8_t, kTraceDigits> nibbles{};  // the last is the lowest
  for (const char c : decimal) {
    if (c < '0' || c > '9') return {};
    unsigned carry = static_cast<unsigned>(c - '0');
    for (size_t i = digits; i-- > 0;) {
      const unsigned value = nibbles[i] * 10u + carry;
      nibbles[i] = value & 0xF;
      carry = value >> 4;
    }
    if (carry != 0) return {};
  }
  std::string hex;
  for (size_t i = 0; i < digits; ++i) hex += "0123456789abcdef"[nibbles[i]];
  return hex;
}

bool IsZero(std::string_view id) { return id.find_first_not_of('0') == std::string_view::npos; }

// The id under `key`; empty when there is none, or one of zeros. Jaeger leaves
// out leading zeros.
absl::StatusOr<std::string> IdMember(const Fields& fields, std::string_view key, size_t digits) {
  const Json* value = fields.Find(key);
  if (value == nullptr) return std::string();
  std::string id;
  if (value->IsNumber()) {
    id = HexOfDecimal(value->number(), digits);
  } else if (value->IsString()) {
    id = Lower(value->string());
    if (id.starts_with("0x")) id.erase(0, 2);
    if (id.empty()) return id;
    if (id.size() < digits) id.insert(0, digits - id.size(), '0');
    if (id.find_first_not_of("0123456789abcdef") != std::string::npos) id.clear();
  }
  if (id.size() != digits) {
    return Error(Code::kInvalidArgument, "{}: {} is no id of {} hex digits", fields.PathOf(key),
                 value->Dump().substr(0, 80), digits);
  }
  return IsZero(id) ? std::string() : id;
}

absl::StatusOr<std::string> RequiredId(const Fields& fields, std::string_view key, size_t digits) {
  NIMBUS_ASSIGN_OR_RETURN(std::string id, IdMember(fields, key, digits));
  if (id.empty()) return Error(Code::kInvalidArgument, "{}: an id is needed", fields.PathOf(key));
  return id;
}

// ---- Numbers and times

bool IsDigits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// A number times 10^power, or a string of its decimal digits; nullopt when absent.
absl::StatusOr<std::optional<int64_t>> Scaled(const Fields& fields, std::string_view key,
                                              int power) {
  const Json* value = fields.Find(key);
  if (value == nullptr) return std::nullopt;
  std::optional<int64_t> scaled;
  if (value->IsNumber()) {
    scaled = ScaledDecimal(value->number(), power, Rounding::kDown);
  } else if (value->IsString() && IsDigits(value->string())) {
    scaled = ScaledDecimal(value->string(), power, Rounding::kDown);
  }
  if (!scaled.has_value() || *scaled < 0) {
    return Error(Code::kInvalidArgument, "{}: {} is no time", fields.PathOf(key),
                 value->Dump().substr(0, 80));
  }
  return scaled;
}

// Nanoseconds; 0 is how a time that is not known is written.
absl::StatusOr<std::optional<int64_t>> Nanos(const Fields& fields, std::string_view key) {
  NIMBUS_ASSIGN_OR_RETURN(std::optional<int64_t> nanos, Scaled(fields, key, 0));
  if (nanos == 0) nanos.reset();
  return nanos;
}

// Nanoseconds, or an ISO 8601 time.
absl::StatusOr<std::optional<int64_t>> NanosOrIso(const Fields& fields, std::string_view key) {
  const Json* value = fields.Find(key);
  if (value == nullptr || !value->IsString() || IsDigits(value->string()))
    return Nanos(fields, key);
  const std::optional<int64_t> micros = schema::ParseUtc(value->string());
  int64_t nanos;
  if (!micros.has_value() || __builtin_mul_overflow(*micros, int64_t{1000}, &nanos)) {
    return Error(Code::kInvalidArgument, "{}: {} is no time", fields.PathOf(key),
                 value->Dump().substr(0, 80));
  }
  return nanos;
}

absl::StatusOr<Json> ObjectMember(const Fields& fields, std::string_view key) {
  NIMBUS_ASSIGN_OR_RETURN(const Json* value, fields.Optional(key, Json::Type::kObject));
  return value == nullptr ? Json::MakeObject() : *value;
}

// The items of the array under `key`, each an object; none when absent.
absl::StatusOr<std::vector<Fields>> Items(const Fields& fields, std::string_view key) {
  NIMBUS_ASSIGN_OR_RETURN(const Json* list, fields.Optional(key, Json::Type::kArray));
  std::vector<Fields> items;
  for (size_t i = 0; list != nullptr && i < list->array().size(); ++i) {
    NIMBUS_ASSIGN_OR_RETURN(Fields item,
                            Fields::Of(list->array()[i], ItemPath(fields.PathOf(key), i)));
    items.push_back(std::move(item));
  }
  return items;
}

// ---- OTLP

absl::StatusOr<Json> AttributesOf(const Fields& fields, std::string_view key);

// What an AnyValue holds. 64-bit integers come as strings of digits.
absl::StatusOr<Json> AnyValue(const Json* any, const std::string& path) {
  if (any == nullptr || any->IsNull()) return Json();
  NIMBUS_ASSIGN_OR_RETURN(const Fields value, Fields::Of(*any, path));
  for (const std::string_view key : {"stringValue", "boolValue", "doubleValue", "bytesValue"}) {
    if (const Json* scalar = value.Find(key)) return *scalar;
  }
  if (const Json* number = value.Find("intValue")) {
    if (number->IsNumber()) return *number;
    const std::string_view digits = number->IsString() ? std::string_view(number->string()) : "";
    const bool negative = digits.starts_with('-');
    if (!IsDigits(digits.substr(negative ? 1 : 0)) || digits.size() > 20)
      return Error(Code::kInvalidArgument, "{}: {} is no integer", value.PathOf("intValue"),
                   number->Dump().substr(0, 80));
    const std::optional<int64_t> exact = ScaledDecimal(digits, 0, Rounding::kDown);
    return exact.has_value() ? Json::Int(*exact) : *number;
  }
  if (const Json* list = value.Find("kvlistValue")) {
    NIMBUS_ASSIGN_OR_RETURN(const Fields pairs, Fields::Of(*list, value.PathOf("kvlistValue")));
    return AttributesOf(pairs, "values");
  }
  const Json* array = value.Find("arrayValue");
  if (array == nullptr) return Json();
  NIMBUS_ASSIGN_OR_RETURN(const Fields items, Fields::Of(*array, value.PathOf("arrayValue")));
  NIMBUS_ASSIGN_OR_RETURN(const Json* values, items.Optional("values", Json::Type::kArray));
  Json::Array result;
  for (size_t i = 0; values != nullptr && i < values->array().size(); ++i) {
    NIMBUS_ASSIGN_OR_RETURN(Json item,
                            AnyValue(&values->array()[i], ItemPath(items.PathOf("values"), i)));
    result.push_back(std::move(item));
  }
  return Json::MakeArray(std::move(result));
}

// [{"key":…,"value":{…}}] as one object. Of two with one key the first counts.
absl::StatusOr<Json> AttributesOf(const Fields& fields, std::string_view key) {
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<Fields> pairs, Items(fields, key));
  Json::Object members;
  std::set<std::string_view> names;
  for (const Fields& pair : pairs) {
    NIMBUS_ASSIGN_OR_RETURN(const std::string_view name, pair.Text("key"));
    NIMBUS_ASSIGN_OR_RETURN(Json value, AnyValue(pair.Find("value"), pair.PathOf("value")));
    if (names.insert(name).second) members.emplace_back(std::string(name), std::move(value));
  }
  return Json::MakeObject(std::move(members));
}

// A number, or the name that Tempo writes: SPAN_KIND_SERVER, STATUS_CODE_ERROR.
int KindOf(const Json* kind) {
  if (kind == nullptr) return 0;
  if (kind->IsNumber()) return static_cast<int>(kind->AsInt().value_or(0) & 7);
  constexpr std::string_view kNames[] = {"unspecified", "internal", "server",
                                         "client",      "producer", "consumer"};
  std::string name = kind->IsString() ? Lower(kind->string()) : "";
  for (const std::string_view prefix : {"spankind.", "span_kind_"}) {
    if (name.starts_with(prefix)) name.erase(0, prefix.size());
  }
  const auto* at = std::find(std::begin(kNames), std::end(kNames), name);
  return at == std::end(kNames) ? 0 : static_cast<int>(at - std::begin(kNames));
}

bool IsErrorCode(const Json* code) {
  if (code == nullptr) return false;
  if (code->IsNumber()) return code->AsInt() == 2;
  return code->IsString() && Lower(code->string()).ends_with("error");
}

absl::Status ReadStatus(const Fields& fields, Span* span) {
  const Json* value = fields.Find("status");
  if (value == nullptr) return absl::OkStatus();
  if (value->IsString()) {
    span->failed = IsErrorCode(value);
    return absl::OkStatus();
  }
  NIMBUS_ASSIGN_OR_RETURN(const Fields status, Fields::Of(*value, fields.PathOf("status")));
  span->failed = IsErrorCode(status.Find("code")) || IsErrorCode(status.Find("status_code"));
  NIMBUS_ASSIGN_OR_RETURN(std::string_view text, status.Text("message"));
  if (text.empty()) {
    NIMBUS_ASSIGN_OR_RETURN(text, status.Text("description"));
  }
  span->message = text;
  return absl::OkStatus();
}

absl::StatusOr<Span> ReadOtlpSpan(const Fields& fields) {
  Span span;
  NIMBUS_ASSIGN_OR_RETURN(span.trace, RequiredId(fields, "traceId", kTraceDigits));
  NIMBUS_ASSIGN_OR_RETURN(span.id, RequiredId(fields, "spanId", kSpanDigits));
  NIMBUS_ASSIGN_OR_RETURN(span.parent, IdMember(fields, "parentSpanId", kSpanDigits));
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view name, fields.Text("name"));
  span.name = name;
  span.kind = KindOf(fields.Find("kind"));
  const Json* flags = fields.Find("flags");
  const auto bits = static_cast<uint64_t>(flags == nullptr ? 0 : flags->AsInt().value_or(0));
  span.remote_parent = (bits & kRemoteParentFlags) == kRemoteParentFlags;
  NIMBUS_ASSIGN_OR_RETURN(span.start_ns, Nanos(fields, "startTimeUnixNano"));
  NIMBUS_ASSIGN_OR_RETURN(span.end_ns, Nanos(fields, "endTimeUnixNano"));
  NIMBUS_RETURN_IF_ERROR(ReadStatus(fields, &span));
  NIMBUS_ASSIGN_OR_RETURN(span.attributes, AttributesOf(fields, "attributes"));
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<Fields> events, Items(fields, "events"));
  for (const Fields& event : events) {
    NIMBUS_ASSIGN_OR_RETURN(const std::string_view event_name, event.Text("name"));
    NIMBUS_ASSIGN_OR_RETURN(Json attributes, AttributesOf(event, "attributes"));
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<int64_t> time, Nanos(event, "timeUnixNano"));
    span.events.push_back({std::string(event_name), std::move(attributes), time});
  }
  return span;
}

// The member's name changed as OTLP did: the first that is there.
std::string_view AnyOf(const Fields& fields, std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    if (fields.Find(key) != nullptr) return key;
  }
  return *keys.begin();
}

absl::Status ReadResourceSpans(const Fields& batch, std::vector<Span>* spans) {
  std::string service;
  NIMBUS_ASSIGN_OR_RETURN(const Json* resource, batch.Optional("resource", Json::Type::kObject));
  if (resource != nullptr) {
    NIMBUS_ASSIGN_OR_RETURN(const Fields fields, Fields::Of(*resource, batch.PathOf("resource")));
    NIMBUS_ASSIGN_OR_RETURN(const Json attributes, AttributesOf(fields, "attributes"));
    service = attributes.StringOr("service.name");
  }
  NIMBUS_ASSIGN_OR_RETURN(
      const std::vector<Fields> scopes,
      Items(batch, AnyOf(batch, {"scopeSpans", "instrumentationLibrarySpans", "ilSpans"})));
  for (const Fields& scope : scopes) {
    const Json* library = scope.Find(AnyOf(scope, {"scope", "instrumentationLibrary"}));
    NIMBUS_ASSIGN_OR_RETURN(const std::vector<Fields> items, Items(scope, "spans"));
    for (const Fields& item : items) {
      NIMBUS_ASSIGN_OR_RETURN(Span span, ReadOtlpSpan(item));
      span.service = service;
      if (library != nullptr) span.scope = library->StringOr("name");
      spans->push_back(std::move(span));
    }
  }
  return absl::OkStatus();
}

const Json& Unwrapped(const Json& record) {
  const Json* trace = record.Find("trace");
  return trace != nullptr && trace->IsObject() ? *trace : record;
}

// ---- Jaeger

absl::StatusOr<Json> TagsOf(const Fields& fields, std::string_view key) {
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<Fields> tags, Items(fields, key));
  Json::Object members;
  std::set<std::string_view> names;
  for (const Fields& tag : tags) {
    NIMBUS_ASSIGN_OR_RETURN(const std::string_view name, tag.Text("key"));
    const Json* value = tag.Find("value");
    if (names.insert(name).second)
      members.emplace_back(std::string(name), value == nullptr ? Json() : *value);
  }
  return Json::MakeObject(std::move(members));
}

// What stands in tags that OTLP has members for.
void ReadJaegerTags(Span* span) {
  const Json* error = span->attributes.Find("error");
  const bool error_tag = error != nullptr && error->IsBool() && error->boolean();
  span->failed = error_tag || span->attributes.StringOr("otel.status_code") == "ERROR";
  span->message = span->attributes.StringOr("otel.status_description");
  span->scope = span->attributes.StringOr("otel.scope.name");
  span->kind = KindOf(span->attributes.Find("span.kind"));
}

// Microseconds here; the end is the start and a duration.
absl::Status ReadJaegerTimes(const Fields& fields, Span* span) {
  constexpr int kNanosPower = 3;
  NIMBUS_ASSIGN_OR_RETURN(span->start_ns, Scaled(fields, "startTime", kNanosPower));
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<int64_t> duration,
                          Scaled(fields, "duration", kNanosPower));
  if (!span->start_ns.has_value() || !duration.has_value()) return absl::OkStatus();
  int64_t end;
  if (__builtin_add_overflow(*span->start_ns, *duration, &end))
    return Error(Code::kInvalidArgument, "{}: beyond all time", fields.PathOf("duration"));
  span->end_ns = end;
  return absl::OkStatus();
}

absl::StatusOr<Span> ReadJaegerSpan(const Fields& fields) {
  Span span;
  NIMBUS_ASSIGN_OR_RETURN(span.trace, RequiredId(fields, "traceID", kTraceDigits));
  NIMBUS_ASSIGN_OR_RETURN(span.id, RequiredId(fields, "spanID", kSpanDigits));
  NIMBUS_ASSIGN_OR_RETURN(span.parent, IdMember(fields, "parentSpanID", kSpanDigits));
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<Fields> references, Items(fields, "references"));
  for (const Fields& reference : references) {
    if (reference.json().StringOr("refType") != "CHILD_OF") continue;
    NIMBUS_ASSIGN_OR_RETURN(span.parent, IdMember(reference, "spanID", kSpanDigits));
  }
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view name, fields.Text("operationName"));
  span.name = name;
  NIMBUS_RETURN_IF_ERROR(ReadJaegerTimes(fields, &span));
  NIMBUS_ASSIGN_OR_RETURN(span.attributes, TagsOf(fields, "tags"));
  ReadJaegerTags(&span);
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<Fields> logs, Items(fields, "logs"));
  for (const Fields& log : logs) {
    NIMBUS_ASSIGN_OR_RETURN(Json attributes, TagsOf(log, "fields"));
    const std::string event(attributes.StringOr("event"));
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<int64_t> time, Scaled(log, "timestamp", 3));
    span.events.push_back({event, std::move(attributes), time});
  }
  return span;
}

std::string_view ServiceOf(const Fields& trace, const Fields& span) {
  const Json* processes = trace.Find("processes");
  const Json* process =
      processes == nullptr ? nullptr : processes->Find(span.json().StringOr("processID"));
  return process == nullptr ? std::string_view() : process->StringOr("serviceName");
}

// ---- Flat spans

bool IsFlatSpan(const Json& span) {
  const Json* id = span.Find("trace_id");
  if (id == nullptr) id = span.FindPath({"context", "trace_id"});
  return id != nullptr && (id->IsString() || id->IsNumber()) && span.Find("name") != nullptr &&
         span.Find("attributes") != nullptr && span.Find("start_time") != nullptr;
}

absl::Status ReadFlatEvents(const Fields& fields, Span* span) {
  for (const std::string_view key : {"events", "span_events"}) {
    NIMBUS_ASSIGN_OR_RETURN(const std::vector<Fields> events, Items(fields, key));
    for (const Fields& event : events) {
      NIMBUS_ASSIGN_OR_RETURN(const std::string_view name,
                              event.Text(AnyOf(event, {"name", "event_name"})));
      NIMBUS_ASSIGN_OR_RETURN(Json attributes, ObjectMember(event, "attributes"));
      NIMBUS_ASSIGN_OR_RETURN(const std::optional<int64_t> time, NanosOrIso(event, "timestamp"));
      span->events.push_back({std::string(name), std::move(attributes), time});
    }
  }
  return absl::OkStatus();
}

absl::Status ReadFlatIds(const Fields& fields, Span* span) {
  const Json* context = fields.Find("context");
  const bool beside = context != nullptr && fields.Find("trace_id") == nullptr;
  NIMBUS_ASSIGN_OR_RETURN(const Fields ids,
                          Fields::Of(beside ? *context : fields.json(),
                                     beside ? fields.PathOf("context") : fields.path()));
  NIMBUS_ASSIGN_OR_RETURN(span->trace, RequiredId(ids, "trace_id", kTraceDigits));
  NIMBUS_ASSIGN_OR_RETURN(span->id, RequiredId(ids, "span_id", kSpanDigits));
  for (const std::string_view key : {"parent_span_id", "parent_id"}) {
    if (!span->parent.empty()) break;
    NIMBUS_ASSIGN_OR_RETURN(span->parent, IdMember(fields, key, kSpanDigits));
  }
  const Json* parent = fields.Find("parent");
  if (parent == nullptr || !parent->IsObject()) return absl::OkStatus();
  NIMBUS_ASSIGN_OR_RETURN(const Fields of, Fields::Of(*parent, fields.PathOf("parent")));
  NIMBUS_ASSIGN_OR_RETURN(span->parent, IdMember(of, "span_id", kSpanDigits));
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<bool> remote, of.Bool("is_remote"));
  span->remote_parent = remote.value_or(false);
  return absl::OkStatus();
}

absl::StatusOr<Span> ReadFlatSpan(const Fields& fields) {
  Span span;
  NIMBUS_RETURN_IF_ERROR(ReadFlatIds(fields, &span));
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view name, fields.Text("name"));
  span.name = name;
  span.kind = KindOf(fields.Find("kind"));
  NIMBUS_ASSIGN_OR_RETURN(span.start_ns, NanosOrIso(fields, "start_time"));
  NIMBUS_ASSIGN_OR_RETURN(span.end_ns, NanosOrIso(fields, "end_time"));
  NIMBUS_RETURN_IF_ERROR(ReadStatus(fields, &span));
  NIMBUS_ASSIGN_OR_RETURN(span.attributes, ObjectMember(fields, "attributes"));
  NIMBUS_RETURN_IF_ERROR(ReadFlatEvents(fields, &span));
  const Json* resource = fields.json().FindPath({"resource", "attributes"});
  if (resource != nullptr) span.service = resource->StringOr("service.name");
  const Json* scope = fields.Find("scope");
  if (scope != nullptr) span.scope = scope->StringOr("name");
  return span;
}

}  // namespace

bool HasOtlpSpans(const Json& record) {
  const Json& traces = Unwrapped(record);
  const Json* list = traces.Find("resourceSpans");
  if (list != nullptr) return list->IsArray();
  list = traces.Find("batches");
  if (list == nullptr || !list->IsArray() || list->array().empty()) return false;
  const Json& first = list->array().front();
  return first.Find("scopeSpans") != nullptr ||
         first.Find("instrumentationLibrarySpans") != nullptr;
}

absl::StatusOr<std::vector<Span>> ReadOtlpSpans(const Json& record) {
  NIMBUS_ASSIGN_OR_RETURN(const Fields traces, Fields::Of(Unwrapped(record), ""));
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<Fields> batches,
                          Items(traces, AnyOf(traces, {"resourceSpans", "batches"})));
  std::vector<Span> spans;
  for (const Fields& batch : batches) NIMBUS_RETURN_IF_ERROR(ReadResourceSpans(batch, &spans));
  return spans;
}

bool HasJaegerSpans(const Json& record) {
  const Json* data = record.Find("data");
  if (data == nullptr || !data->IsArray() || data->array().empty()) return false;
  const Json& trace = data->array().front();
  return trace.Find("traceID") != nullptr && trace.Find("spans") != nullptr;
}

absl::StatusOr<std::vector<Span>> ReadJaegerSpans(const Json& record) {
  NIMBUS_ASSIGN_OR_RETURN(const Fields document, Fields::Of(record, ""));
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<Fields> traces, Items(document, "data"));
  std::vector<Span> spans;
  for (const Fields& trace : traces) {
    NIMBUS_ASSIGN_OR_RETURN(const std::vector<Fields> items, Items(trace, "spans"));
    for (const Fields& item : items) {
      NIMBUS_ASSIGN_OR_RETURN(Span span, ReadJaegerSpan(item));
      span.service = ServiceOf(trace, item);
      spans.push_back(std::move(span));
    }
  }
  return spans;
}

bool HasFlatSpans(const Json& record) {
  const Json* list = record.IsArray() ? &record : record.Find("spans");
  if (list == nullptr) return IsFlatSpan(record);
  return list->IsArray() && !list->array().empty() && IsFlatSpan(list->array().front());
}

absl::StatusOr<std::vector<Span>> ReadFlatSpans(const Json& record) {
  const Json* list = record.IsArray() ? &record : record.Find("spans");
  std::vector<Span> spans;
  if (list == nullptr || !list->IsArray()) {
    NIMBUS_ASSIGN_OR_RETURN(const Fields fields, Fields::Of(record, ""));
    NIMBUS_ASSIGN_OR_RETURN(Span span, ReadFlatSpan(fields));
    spans.push_back(std::move(span));
    return spans;
  }
  for (size_t i = 0; i < list->array().size(); ++i) {
    NIMBUS_ASSIGN_OR_RETURN(
        const Fields fields,
        Fields::Of(list->array()[i], ItemPath(record.IsArray() ? "" : "spans", i)));
    NIMBUS_ASSIGN_OR_RETURN(Span span, ReadFlatSpan(fields));
    spans.push_back(std::move(span));
  }
  return spans;
}

std::optional<int64_t> MicrosOfNanos(std::optional<int64_t> nanos) {
  if (!nanos.has_value()) return std::nullopt;
  return *nanos / 1000 - (*nanos % 1000 < 0);
}

}  // namespace nimbus::tools::import
