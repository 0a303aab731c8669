#include "tools/import/parts.h"

#include <sodium.h>

#include <algorithm>
#include <memory>

#include "nimbus/schema/check.h"
#include "tools/import/script.h"

namespace nimbus::tools::import {
namespace {

using schema::Json;
using schema::Uuid;

std::string Base64(std::string_view bytes) {
  std::string text(sodium_base64_ENCODED_LEN(bytes.size(), sodium_base64_VARIANT_ORIGINAL), '\0');
  sodium_bin2base64(text.data(), text.size(), reinterpret_cast<const unsigned char*>(bytes.data()),
                    bytes.size(), sodium_base64_VARIANT_ORIGINAL);
  text.pop_back();  // the terminator
  return text;
}

}  // namespace

std::string GapsOf(const Source& source, const Run& run) {
  if (source.skipped.empty() && run.notes.empty()) return {};
  Json gaps_and_notes = Json::MakeObject();
  Json::Array gaps, notes;
  for (const SkippedLine& line : source.skipped) {
    gaps.push_back(Json::MakeObject({{"line", Json::Uint(line.line)},
                                     {"before_record", Json::Uint(line.before_record)},
                                     {"reason", Json::String(line.reason)},
                                     {"base64", Json::String(Base64(line.bytes))}}));
  }
  for (const std::string& note : run.notes) notes.push_back(Json::String(note));
  if (!gaps.empty()) gaps_and_notes.Set("skipped", Json::MakeArray(std::move(gaps)));
  if (!notes.empty()) gaps_and_notes.Set("notes", Json::MakeArray(std::move(notes)));
  return gaps_and_notes.Dump();
}

// The operation whose records `record` is among, and where these end; without
// one, where the next begins.
std::optional<Uuid> PartCutter::OperationAt(uint64_t record, uint64_t* end) const {
  *end = source_.records.size();
  for (const Session& session : run_.sessions) {
    for (const Operation& operation : session.operations) {
      if (operation.first_record <= record && record < operation.end_record) {
        *end = operation.end_record;
        return OperationId(run_, session, operation.source_id);
      }
      if (operation.first_record > record) *end = std::min(*end, operation.first_record);
    }
  }
  return std::nullopt;
}

Part PartCutter::Cut() {
  NIMBUS_CHECK(next_ < source_.records.size());
  Part part;
  part.payload.first = next_;
  uint64_t end = 0;
  if (const std::optional<Uuid> about = OperationAt(next_, &end))
    part.payload.about = std::make_unique<schema::fb::Id>(about->ToFb());
  const std::string_view rest = source_.records[next_].text.substr(offset_);
  if (rest.size() > kPieceBytesMax) {
    part.bytes = rest.substr(0, kPieceBytesMax);
    offset_ += kPieceBytesMax;
    return part;
  }
  part.bytes = rest;
  part.count = 1;
  // The end of a record that began in pieces is a part by itself.
  while (offset_ == 0 && next_ + part.count < end) {
    const std::string_view text = source_.records[next_ + part.count].text;
    if (part.bytes.size() + 1 + text.size() > kPartBytesMax) break;
    part.bytes += '\n';
    part.bytes += text;
    ++part.count;
  }
  part.payload.count = static_cast<uint32_t>(part.count);
  next_ += part.count;
  offset_ = 0;
  return part;
}

}  // namespace nimbus::tools::import
