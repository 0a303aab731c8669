// Zip archives for tests, good and bad ones: written field by field, so that any
// of them can lie.
#pragma once

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nimbus::test {

struct ZipMember {
  enum class Method : uint16_t { kStored = 0, kDeflate = 8, kBzip2 = 12, kZstd = 93 };

  std::string name;
  std::string content;
  Method method = Method::kStored;
  bool encrypted = false;        // says so
  std::optional<uint32_t> crc;   // instead of the content's
  std::optional<uint32_t> size;  // instead of the content's
};

inline std::string Deflated(std::string_view text) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 9, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// Several frames, as Inspect writes them.
inline std::string ZstdFrames(std::string_view text, size_t frame_bytes) {
  std::string out;
  for (size_t at = 0; at < text.size() || out.empty(); at += frame_bytes) {
    const std::string_view part = text.substr(at, frame_bytes);
    std::string frame(ZSTD_compressBound(part.size()), '\0');
    const size_t size = ZSTD_compress(frame.data(), frame.size(), part.data(), part.size(), 3);
    EXPECT_FALSE(ZSTD_isError(size));
    out += frame.substr(0, size);
  }
  return out;
}

// Little-endian.
inline void Put(uint64_t value, int bytes, std::string* out) {
  for (int i = 0; i < bytes; ++i) *out += static_cast<char>(value >> (8 * i) & 0xFF);
}

inline std::string WriteZip(const std::vector<ZipMember>& members) {
  std::string out, directory;
  for (const ZipMember& member : members) {
    std::string stored = member.content;
    if (member.method == ZipMember::Method::kDeflate) stored = Deflated(member.content);
    if (member.method == ZipMember::Method::kZstd)
      stored = ZstdFrames(member.content, member.content.size() / 3 + 1);
    const auto crc = static_cast<uint32_t>(
        crc32_z(0, reinterpret_cast<const Bytef*>(member.content.data()), member.content.size()));
    std::string fields;
    Put(member.encrypted ? 1 : 0, 2, &fields);
    Put(static_cast<uint16_t>(member.method), 2, &fields);
    Put(0x21 << 16, 4, &fields);  // the first day
    Put(member.crc.value_or(crc), 4, &fields);
    Put(stored.size(), 4, &fields);
    Put(member.size.value_or(static_cast<uint32_t>(member.content.size())), 4, &fields);
    Put(member.name.size(), 2, &fields);
    Put(0, 2, &fields);
    const size_t at = out.size();
    out += "PK\x03\x04";
    Put(20, 2, &out);
    out += fields + member.name + stored;
    directory += "PK\x01\x02";
    Put(20, 2, &directory);
    Put(20, 2, &directory);
    directory += fields;
    Put(0, 8, &directory);  // no comment, the first disk, no attributes
    Put(0, 2, &directory);
    Put(at, 4, &directory);
    directory += member.name;
  }
  const size_t at = out.size();
  out += directory;
  out += "PK\x05\x06";
  Put(0, 4, &out);
  Put(members.size(), 2, &out);
  Put(members.size(), 2, &out);
  Put(directory.size(), 4, &out);
  Put(at, 4, &out);
  Put(0, 2, &out);
  return out;
}

}  // namespace nimbus::test
