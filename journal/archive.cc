#include "archive.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "nimbus/schema/check.h"
#include "nimbus/schema/status.h"
#include "store.h"

namespace nimbus::journal {
namespace {

using schema::Error;
using Code = absl::StatusCode;

constexpr size_t kHeaderBytes = 24;
constexpr size_t kTrailerBytes = 16 + sizeof(schema::Digest);
constexpr size_t kReadBytes = size_t{1} << 20;

std::string Unsealed(const std::string& path) { return path + ".new"; }

Bytes EncodeHeader(const schema::Uuid& journal) {
  Bytes out;
  PutFixed(kArchiveMagic, &out);
  PutFixed(kArchiveVersion, &out);
  PutFixed(journal.bytes, &out);
  NIMBUS_CHECK(out.size() == kHeaderBytes);
  return out;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ArchiveWriter>> ArchiveWriter::Create(const std::string& path,
                                                                     const schema::Uuid& journal,
                                                                     PackerOptions options) {
  const int descriptor =
      open(Unsealed(path).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor < 0) return StatusOfErrno(errno, path);
  std::unique_ptr<ArchiveWriter> writer(new ArchiveWriter(path, descriptor, std::move(options)));
  NIMBUS_CHECK(crypto_generichash_init(&writer->digest_, nullptr, 0, sizeof(schema::Digest)) == 0);
  NIMBUS_RETURN_IF_ERROR(writer->Write(EncodeHeader(journal)));
  return writer;
}

ArchiveWriter::~ArchiveWriter() {
  if (descriptor_ < 0) return;
  close(descriptor_);
  std::error_code ignored;  // nobody looks for it
  std::filesystem::remove(Unsealed(path_), ignored);
}

absl::Status ArchiveWriter::Write(std::span<const uint8_t> bytes) {
  crypto_generichash_update(&digest_, bytes.data(), bytes.size());
  bytes_ += bytes.size();
  while (!bytes.empty()) {
    const ssize_t written = write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return StatusOfErrno(written < 0 ? errno : ENOSPC, path_);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status ArchiveWriter::Add(const schema::Uuid& stream, uint64_t sequence,
                                const EntryBody& body) {
  // A body frame spans so many sequences and no more.
  const bool far = !packer_.empty() && sequence - packer_.first() >= kFrameRecordsMax;
  if (far || packer_.IsFull(body.bytes.size())) NIMBUS_RETURN_IF_ERROR(CloseBlock());
  packer_.Add(stream, sequence, body);
  ++bodies_;
  return absl::OkStatus();
}

absl::Status ArchiveWriter::CloseBlock() {
  const uint64_t first = packer_.first();
  BlockPacker::Packed packed = packer_.Close();
  const uint64_t last = packed.block.bodies.back().sequence;
  BodyFrameBuilder builder(first);
  builder.Add(PlaceBlock(packed.block, 0, packed.base));
  const Bytes frame = builder.Finish();
  const bool chunked = packed.block.stored.size() > kChunkBytes;
  PutFixed(first, &index_);
  PutFixed(last, &index_);
  PutFixed(bytes_, &index_);
  PutFixed(static_cast<uint32_t>(frame.size()), &index_);
  PutFixed(static_cast<uint32_t>(chunked ? packed.block.stored.size() : 0), &index_);
  ++blocks_;
  NIMBUS_RETURN_IF_ERROR(Write(frame));
  return chunked ? Write(packed.block.stored) : absl::OkStatus();
}

absl::Status ArchiveWriter::Seal() {
  if (!packer_.empty()) NIMBUS_RETURN_IF_ERROR(CloseBlock());
  Bytes end = std::exchange(index_, {});
  PutFixed(bytes_, &end);
  PutFixed(blocks_, &end);
  PutFixed(uint32_t{0}, &end);
  NIMBUS_RETURN_IF_ERROR(Write(end));
  schema::Digest digest;
  crypto_generichash_final(&digest_, digest.data(), digest.size());
  NIMBUS_RETURN_IF_ERROR(Write(digest));
  if (fsync(descriptor_) != 0) return StatusOfErrno(errno, path_);
  if (rename(Unsealed(path_).c_str(), path_.c_str()) != 0) return StatusOfErrno(errno, path_);
  close(std::exchange(descriptor_, -1));
  return SyncDirectory(std::filesystem::path(path_).parent_path().string());
}

absl::StatusOr<std::unique_ptr<Archive>> Archive::Open(const std::string& path,
                                                       const schema::Uuid& journal) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return StatusOfErrno(errno, path);
  std::unique_ptr<Archive> archive(new Archive(path, descriptor));
  struct stat info;
  if (fstat(descriptor, &info) != 0) return StatusOfErrno(errno, path);
  archive->file_bytes_ = static_cast<uint64_t>(info.st_size);
  NIMBUS_RETURN_IF_ERROR(archive->ReadIndex(journal));
  return archive;
}

Archive::~Archive() { close(descriptor_); }

absl::Status Archive::ReadAt(uint64_t offset, size_t bytes, Bytes* out) const {
  if (offset > file_bytes_ || bytes > file_bytes_ - offset) {
    return Error(Code::kDataLoss, "{}: cut off or malformed", path_);
  }
  out->resize(bytes);
  for (size_t done = 0; done < bytes;) {
    const ssize_t got =
        pread(descriptor_, out->data() + done, bytes - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return StatusOfErrno(errno, path_);
    if (got == 0) return Error(Code::kDataLoss, "{}: it became shorter", path_);
    done += static_cast<size_t>(got);
  }
  return absl::OkStatus();
}

absl::Status Archive::ReadIndex(const schema::Uuid& journal) {
  const absl::Status malformed = Error(Code::kDataLoss, "{}: cut off or malformed", path_);
  Bytes bytes;
  if (file_bytes_ < kHeaderBytes + kTrailerBytes) return malformed;
  NIMBUS_RETURN_IF_ERROR(ReadAt(0, kHeaderBytes, &bytes));
  if (bytes != EncodeHeader(journal)) {
    return Error(Code::kDataLoss, "{}: not an archive of journal {}", path_, journal.ToString());
  }
  NIMBUS_RETURN_IF_ERROR(ReadAt(file_bytes_ - kTrailerBytes, kTrailerBytes, &bytes));
  std::span<const uint8_t> in = bytes;
  uint64_t offset = 0;
  uint32_t blocks = 0;
  NIMBUS_CHECK(TakeFixed(&in, &offset) && TakeFixed(&in, &blocks));
  const uint64_t index_bytes = uint64_t{blocks} * sizeof(Place);
  if (offset > file_bytes_ || offset + index_bytes + kTrailerBytes != file_bytes_) return malformed;
  NIMBUS_RETURN_IF_ERROR(ReadAt(offset, index_bytes, &bytes));
  in = bytes;
  index_.resize(blocks);
  uint64_t next = 0;
  for (Place& place : index_) {
    NIMBUS_CHECK(TakeFixed(&in, &place));
    if (place.first < next || place.last < place.first ||
        place.last - place.first >= kFrameRecordsMax) {
      return malformed;
    }
    next = place.last + 1;
  }
  return absl::OkStatus();
}

const Archive::Place* Archive::Find(uint64_t sequence) const {
  const auto place =
      std::lower_bound(index_.begin(), index_.end(), sequence,
                       [](const Place& p, uint64_t wanted) { return p.last < wanted; });
  return place == index_.end() || place->first > sequence ? nullptr : &*place;
}

std::optional<uint64_t> Archive::BlockAt(uint64_t sequence) const {
  const Place* place = Find(sequence);
  return place == nullptr ? std::nullopt : std::optional(place->first);
}

absl::StatusOr<std::optional<BlockEntry>> Archive::ReadBlock(uint64_t sequence,
                                                             Bytes* bytes) const {
  const Place* place = Find(sequence);
  if (place == nullptr) return std::optional<BlockEntry>();
  Bytes frame;
  NIMBUS_RETURN_IF_ERROR(ReadAt(place->offset, place->frame_bytes, &frame));
  absl::StatusOr<std::vector<BlockEntry>> blocks = ParseBodyFrame(frame, place->first);
  if (!blocks.ok()) return schema::Annotate(blocks.status(), path_);
  if (blocks->size() != 1 || blocks->front().first() != place->first) {
    return Error(Code::kDataLoss, "{}: cut off or malformed", path_);
  }
  BlockEntry block = std::move(blocks->front());
  if (!block.Holds(sequence)) return std::optional<BlockEntry>();
  if (block.chunked) {
    NIMBUS_RETURN_IF_ERROR(ReadAt(place->offset + place->frame_bytes, block.stored_bytes, bytes));
  } else {
    bytes->assign(block.stored.begin(), block.stored.end());
  }
  block.stored = *bytes;
  return std::optional<BlockEntry>(std::move(block));
}

absl::Status Archive::CheckDigest() const {
  crypto_generichash_state state;
  NIMBUS_CHECK(crypto_generichash_init(&state, nullptr, 0, sizeof(schema::Digest)) == 0);
  Bytes bytes;
  const uint64_t end = file_bytes_ - sizeof(schema::Digest);
  for (uint64_t offset = 0; offset < end; offset += bytes.size()) {
    NIMBUS_RETURN_IF_ERROR(ReadAt(offset, std::min<uint64_t>(end - offset, kReadBytes), &bytes));
    crypto_generichash_update(&state, bytes.data(), bytes.size());
  }
  schema::Digest digest;
  crypto_generichash_final(&state, digest.data(), digest.size());
  NIMBUS_RETURN_IF_ERROR(ReadAt(end, sizeof(digest), &bytes));
  if (std::equal(digest.begin(), digest.end(), bytes.begin(), bytes.end())) return absl::OkStatus();
  return Error(Code::kDataLoss, "{}: cut off, or changed since it was sealed", path_);
}

}  // namespace nimbus::journal
