#include "wal.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "nimbus/schema/check.h"
#include "nimbus/schema/status.h"
#include "store.h"

namespace nimbus::journal {
namespace {

using schema::Error;
using Code = absl::StatusCode;

off_t PlaceOf(int half, size_t offset) {
  return static_cast<off_t>(static_cast<size_t>(half) * kWalHalfBytes + offset);
}

// Up to `size` bytes of the file; fewer where it ends, which leaves an entry that
// does not prove itself. What can't be read may prove itself another time, so
// that it is no end of the log.
absl::StatusOr<Bytes> ReadAt(int file, off_t place, size_t size, const std::string& path) {
  Bytes bytes(size);
  size_t done = 0;
  while (done < size) {
    const ssize_t got =
        pread(file, bytes.data() + done, size - done, place + static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return StatusOfErrno(errno, path);
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  bytes.resize(done);
  return bytes;
}

absl::Status WriteAt(int file, off_t place, std::span<const uint8_t> bytes,
                     const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t put = pwrite(file, bytes.data(), bytes.size(), place);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return StatusOfErrno(put < 0 ? errno : ENOSPC, path);
    bytes = bytes.subspan(static_cast<size_t>(put));
    place += put;
  }
  return absl::OkStatus();
}

// Zeros, written: to allocate is not enough, since a flush would have to note
// which blocks have been written to.
absl::Status FillWithZeros(int file, const std::string& path) {
  const Bytes zeros(256 * 1024);
  for (size_t done = 0; done < kWalBytes; done += zeros.size()) {
    NIMBUS_RETURN_IF_ERROR(WriteAt(file, static_cast<off_t>(done), zeros, path));
  }
  if (fsync(file) != 0) return StatusOfErrno(errno, path);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Wal>> Wal::Open(const std::string& directory,
                                               const schema::Uuid& journal, bool read_only) {
  std::unique_ptr<Wal> wal(new Wal(directory + "/wal", journal, read_only));
  NIMBUS_ASSIGN_OR_RETURN(wal->state_, WalState::Open(directory, journal, read_only));
  const schema::MutexLock lock(&wal->mu_);
  wal->older_ = std::make_shared<WalSegment>();
  wal->newer_ = std::make_shared<WalSegment>();
  NIMBUS_RETURN_IF_ERROR(wal->OpenFile());
  return wal;
}

Wal::~Wal() {
  const schema::MutexLock lock(&mu_);
  if (file_ >= 0) close(file_);
}

absl::Status Wal::OpenFile() {
  if (file_ >= 0) return absl::OkStatus();
  const int file = open(path_.c_str(), (read_only_ ? O_RDONLY : O_RDWR) | O_CLOEXEC);
  if (file < 0) return errno == ENOENT ? absl::OkStatus() : StatusOfErrno(errno, path_);
  file_ = file;
  return absl::OkStatus();
}

absl::Status Wal::CheckLength() const {
  struct stat info;
  if (file_ < 0) return absl::OkStatus();
  if (fstat(file_, &info) != 0) return StatusOfErrno(errno, path_);
  if (static_cast<uint64_t>(info.st_size) == kWalBytes) return absl::OkStatus();
  return Error(Code::kDataLoss, "{}: the log is {} bytes long, not {}", path_, info.st_size,
               kWalBytes);
}

absl::Status Wal::Create() {
  const schema::MutexLock lock(&mu_);
  NIMBUS_RETURN_IF_ERROR(OpenFile());
  if (file_ >= 0) return absl::OkStatus();
  const std::string written = path_ + ".new";
  const int file = open(written.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) return StatusOfErrno(errno, written);
  absl::Status status = FillWithZeros(file, written);
  if (status.ok() && rename(written.c_str(), path_.c_str()) != 0) {
    status = StatusOfErrno(errno, path_);
  }
  if (!status.ok()) {
    close(file);
    unlink(written.c_str());
    return status;
  }
  file_ = file;
  return SyncDirectory(path_.substr(0, path_.rfind('/')));
}

uint64_t Wal::DurableLocked() const {
  return state_ == nullptr ? flushed_ : std::max(flushed_, state_->durable());
}

uint64_t Wal::durable() const {
  const schema::MutexLock lock(&mu_);
  return DurableLocked();
}

WalLink Wal::end() const {
  const schema::MutexLock lock(&mu_);
  return tail_.link;
}

uint64_t Wal::salt() const {
  const schema::MutexLock lock(&mu_);
  return salt_;
}

uint64_t Wal::FileBytes() const {
  const schema::MutexLock lock(&mu_);
  struct stat info;
  return file_ >= 0 && fstat(file_, &info) == 0 ? static_cast<uint64_t>(info.st_size) : 0;
}

void Wal::Forget() {
  older_ = std::make_shared<WalSegment>();
  newer_ = std::make_shared<WalSegment>();
}

void Wal::NoteApplied(uint64_t sequence) {
  const schema::MutexLock lock(&mu_);
  applied_ = std::max(applied_, sequence);
  flushed_ = std::max(flushed_, sequence);
  if (applied_ >= tail_.link.sequence) Forget();
  if (applied_ > state_->durable()) state_->SetDurable(applied_);
}

// The entry there, if it is the one that comes next.
absl::StatusOr<std::unique_ptr<const WalEntry>> Wal::ReadNext(int half, size_t offset) const {
  if (file_ < 0 || offset + sizeof(WalEntryHeader) > kWalHalfBytes) return nullptr;
  const off_t place = PlaceOf(half, offset);
  NIMBUS_ASSIGN_OR_RETURN(const Bytes header, ReadAt(file_, place, sizeof(WalEntryHeader), path_));
  const std::optional<size_t> extent = WalEntryExtent(header, journal_);
  if (!extent.has_value() || *extent > kWalHalfBytes - offset) return nullptr;
  NIMBUS_ASSIGN_OR_RETURN(Bytes bytes, ReadAt(file_, place, *extent, path_));
  absl::StatusOr<std::unique_ptr<const WalEntry>> entry = WalEntry::Decode(std::move(bytes));
  if (!entry.ok() || WalLink{(*entry)->first_sequence(), (*entry)->header().previous} != tail_.link)
    return nullptr;
  return *std::move(entry);
}

void Wal::Accept(std::unique_ptr<const WalEntry> entry, int half, size_t offset) {
  if (half != tail_.half) {
    older_ = std::exchange(newer_, std::make_shared<WalSegment>());
    older_end_ = tail_.offset;
  }
  tail_ = {.link = {entry->end_sequence(), entry->header().checksum},
           .half = half,
           .offset = offset + entry->bytes().size(),
           .known = true};
  newer_->Add(std::move(entry));
}

absl::Status Wal::ReadOn(uint64_t up_to) {
  while (tail_.known && tail_.link.sequence < up_to) {
    int half = tail_.half;
    size_t offset = tail_.offset;
    NIMBUS_ASSIGN_OR_RETURN(std::unique_ptr<const WalEntry> entry, ReadNext(half, offset));
    if (entry == nullptr) {
      half = 1 - half;
      offset = 0;
      NIMBUS_ASSIGN_OR_RETURN(entry, ReadNext(half, offset));
    }
    if (entry == nullptr) break;
    Accept(std::move(entry), half, offset);
  }
  return absl::OkStatus();
}

WalOverlay Wal::DurableOverlay() {
  const schema::MutexLock lock(&mu_);
  // Looked at once: it may move on while the entries are read.
  uint64_t durable = DurableLocked();
  if (!owner_) {
    absl::Status status = ReadOn(state_ == nullptr ? UINT64_MAX : durable);
    if (state_ == nullptr) {
      // Nobody says how far the log is durable: what is found is made so.
      if (status.ok()) status = FlushFound();
      durable = flushed_;
    }
    if (!status.ok()) tail_.known = false;  // Synchronize will say why
  }
  const uint64_t wanted = owner_ || tail_.known ? durable : UINT64_MAX;
  return {older_, older_->size(), newer_, newer_->size(), durable, wanted};
}

WalOverlay Wal::WholeOverlay() const {
  const schema::MutexLock lock(&mu_);
  return {older_, older_->size(), newer_, newer_->size(), UINT64_MAX, 0};
}

bool Wal::IsAnothers(std::span<const uint8_t> half) const {
  WalEntryHeader header;
  return TakeFixed(&half, &header) && header.magic == kWalEntryMagic &&
         header.journal != journal_.bytes;
}

// The entries from the beginning of a half on, each linked to the one before.
Wal::Chain Wal::ReadChain(const Bytes& half) const {
  Chain chain;
  while (chain.bytes + sizeof(WalEntryHeader) <= half.size()) {
    const std::span<const uint8_t> rest = std::span(half).subspan(chain.bytes);
    const std::optional<size_t> extent = WalEntryExtent(rest, journal_);
    if (!extent.has_value() || *extent > rest.size()) break;
    const std::span<const uint8_t> bytes = rest.first(*extent);
    absl::StatusOr<std::unique_ptr<const WalEntry>> entry =
        WalEntry::Decode(Bytes(bytes.begin(), bytes.end()));
    if (!entry.ok()) break;
    if (!chain.entries.empty()) {
      const WalEntry& before = *chain.entries.back();
      if ((*entry)->first_sequence() != before.end_sequence() ||
          (*entry)->header().previous != before.header().checksum) {
        break;
      }
    }
    chain.durable_before = std::max(chain.durable_before, (*entry)->header().durable_before);
    chain.entries.push_back(*std::move(entry));
    chain.bytes += *extent;
  }
  return chain;
}

// Takes of a half what follows the tail, which is in it, or at its beginning.
void Wal::TakeChain(int half, Chain chain) {
  size_t offset = 0;
  for (std::unique_ptr<const WalEntry>& entry : chain.entries) {
    const size_t at = std::exchange(offset, offset + entry->bytes().size());
    const WalLink begin{entry->first_sequence(), entry->header().previous};
    const WalLink end{entry->end_sequence(), entry->header().checksum};
    if (tail_.link == begin) {
      if (!tail_.known) tail_.half = half;
      Accept(std::move(entry), half, at);
    } else if (tail_.link == end) {
      tail_ = {.link = end, .half = half, .offset = offset, .known = true};
    }
  }
}

// What is said to be durable by entries that lie about in `rest`, if it is more
// than the records before `end`.
uint64_t Wal::DurableBefore(std::span<const uint8_t> rest, uint64_t end) const {
  uint64_t durable = end;
  // Every entry takes as much; a file that was cut off may end with less.
  for (; rest.size() >= kWalAlignment; rest = rest.subspan(kWalAlignment)) {
    WalEntryHeader header;
    std::memcpy(&header, rest.data(), sizeof(header));
    const std::optional<size_t> extent = WalEntryExtent(rest, journal_);
    if (!extent.has_value() || *extent > rest.size() || header.durable_before <= durable) continue;
    const std::span<const uint8_t> bytes = rest.first(*extent);
    if (WalEntry::Decode(Bytes(bytes.begin(), bytes.end())).ok()) durable = header.durable_before;
  }
  return durable;
}

// Takes what fdatasync has answered. It tells of a failure once, and what could
// not be written counts as clean from then on: no later answer is believed.
absl::Status Wal::NoteFlush(int answer) {
  if (answer == 0 && !flush_failed_) return absl::OkStatus();
  flush_failed_ = true;
  return Error(Code::kDataLoss, "{}: what was written could not be flushed", path_);
}

// Of the entries of a half that end at `end`, those from record `durable` on.
absl::Status Wal::Rewrite(const WalSegment& segment, int half, size_t end, uint64_t durable) const {
  for (size_t i = segment.size(); i-- > 0 && segment.entry(i).end_sequence() > durable;) {
    const Bytes& bytes = segment.entry(i).bytes();
    end -= bytes.size();
    NIMBUS_RETURN_IF_ERROR(WriteAt(file_, PlaceOf(half, end), bytes, path_));
  }
  return absl::OkStatus();
}

absl::Status Wal::RewriteFound() {
  const uint64_t durable = std::max(applied_, state_->durable());
  NIMBUS_RETURN_IF_ERROR(Rewrite(*older_, 1 - tail_.half, older_end_, durable));
  NIMBUS_RETURN_IF_ERROR(Rewrite(*newer_, tail_.half, tail_.offset, durable));
  flushed_ = durable;  // what this process flushed as a reader proves nothing
  return absl::OkStatus();
}

absl::Status Wal::FlushFound() {
  const uint64_t end = tail_.link.sequence;
  if (end <= flushed_ || file_ < 0) return absl::OkStatus();
  const bool said = state_ != nullptr && end <= state_->durable();
  if (!said) NIMBUS_RETURN_IF_ERROR(NoteFlush(fdatasync(file_)));
  flushed_ = end;
  return absl::OkStatus();
}

absl::Status Wal::SynchronizeLocked(const WalLink& lmdb_end) {
  tail_.known = false;
  uint64_t durable = state_ == nullptr ? 0 : state_->durable();
  NIMBUS_RETURN_IF_ERROR(OpenFile());
  NIMBUS_RETURN_IF_ERROR(CheckLength());
  std::array<Bytes, 2> halves;
  std::array<Chain, 2> chains;
  std::array<std::span<const uint8_t>, 2> rests;
  for (size_t half = 0; half < 2 && file_ >= 0; ++half) {
    const off_t place = PlaceOf(static_cast<int>(half), 0);
    NIMBUS_ASSIGN_OR_RETURN(halves[half], ReadAt(file_, place, kWalHalfBytes, path_));
    if (IsAnothers(halves[half])) {
      return Error(Code::kDataLoss, "{}: the log of another journal", path_);
    }
    chains[half] = ReadChain(halves[half]);
    rests[half] = std::span<const uint8_t>(halves[half]).subspan(chains[half].bytes);
    durable = std::max(durable, chains[half].durable_before);
  }
  Forget();
  tail_ = {.link = lmdb_end, .half = 0, .offset = 0, .known = false};
  applied_ = lmdb_end.sequence;
  flushed_ = std::max(flushed_, lmdb_end.sequence);
  TakeChain(0, std::move(chains[0]));
  const bool began_in_first = tail_.known;
  TakeChain(1, std::move(chains[1]));
  // The log may go from the end of the second half to the beginning of the first.
  if (!began_in_first && tail_.known) TakeChain(0, ReadChain(halves[0]));
  const uint64_t end = tail_.link.sequence;
  for (const std::span<const uint8_t> rest : rests) {
    durable = std::max(durable, DurableBefore(rest, end));
  }
  const absl::Status status =
      durable <= end
          ? absl::OkStatus()
          : Error(Code::kDataLoss, "{}: the log ends at record {}, but those before {} are durable",
                  path_, end, durable);
  tail_.known = status.ok();
  return status;
}

absl::Status Wal::Synchronize(const WalLink& lmdb_end) {
  const schema::MutexLock lock(&mu_);
  if (owner_) return absl::OkStatus();
  NIMBUS_RETURN_IF_ERROR(SynchronizeLocked(lmdb_end));
  const absl::Status status = FlushFound();
  tail_.known = status.ok();
  return status;
}

absl::StatusOr<bool> Wal::BeginTenure(const WalLink& lmdb_end) {
  const schema::MutexLock lock(&mu_);
  NIMBUS_CHECK(!owner_ && state_ != nullptr);
  const bool first = tenure_ == 0;
  const bool alone = tail_.known && tenure_ != 0 && state_->tenure() == tenure_;
  if (!alone) {
    NIMBUS_RETURN_IF_ERROR(ReadOn(UINT64_MAX));
    const bool behind =
        !tail_.known || tail_.link.sequence < std::max(lmdb_end.sequence, state_->durable());
    if (behind) NIMBUS_RETURN_IF_ERROR(SynchronizeLocked(lmdb_end));
    applied_ = std::max(applied_, lmdb_end.sequence);
    NIMBUS_RETURN_IF_ERROR(RewriteFound());
  }
  NIMBUS_RETURN_IF_ERROR(FlushFound());
  if (!alone) {
    tenure_ = state_->BeginTenure();
    randombytes_buf(&salt_, sizeof(salt_));
  }
  owner_ = true;
  if (flushed_ > state_->durable()) state_->SetDurable(flushed_);
  return !alone && !first;
}

void Wal::EndTenure() {
  const schema::MutexLock lock(&mu_);
  owner_ = false;
}

bool Wal::OtherHalfIsFree() const {
  return older_->size() == 0 || older_->entry(older_->size() - 1).end_sequence() <= applied_;
}

bool Wal::HasRoom(size_t bytes) const {
  const schema::MutexLock lock(&mu_);
  return tail_.offset + bytes <= kWalHalfBytes || OtherHalfIsFree();
}

double Wal::Fill() const {
  const schema::MutexLock lock(&mu_);
  return static_cast<double>(tail_.offset) / kWalHalfBytes;
}

absl::StatusOr<bool> Wal::Write(std::unique_ptr<const WalEntry> entry) {
  int file = -1, half = 0;
  size_t offset = 0;
  {
    const schema::MutexLock lock(&mu_);
    NIMBUS_CHECK(file_ >= 0 && tail_.known && entry->first_sequence() == tail_.link.sequence &&
                 entry->header().salt == salt_);
    file = file_;
    half = tail_.half;
    offset = tail_.offset;
    if (offset + entry->bytes().size() > kWalHalfBytes) {
      NIMBUS_CHECK(OtherHalfIsFree());
      half = 1 - half;
      offset = 0;
    }
  }
  // A part of it that may be there does not prove itself, and the next overwrites it.
  NIMBUS_RETURN_IF_ERROR(WriteAt(file, PlaceOf(half, offset), entry->bytes(), path_));
  const schema::MutexLock lock(&mu_);
  Accept(std::move(entry), half, offset);
  return offset == 0 && !OtherHalfIsFree();
}

absl::Status Wal::Flush() {
  const schema::MutexLock flushing(&flush_mu_);
  int file = -1;
  uint64_t end = 0;
  {
    const schema::MutexLock lock(&mu_);
    if (tail_.link.sequence <= DurableLocked()) return absl::OkStatus();
    file = file_;
    end = tail_.link.sequence;
  }
  const int answer = fdatasync(file);
  const schema::MutexLock lock(&mu_);
  NIMBUS_RETURN_IF_ERROR(NoteFlush(answer));
  flushed_ = std::max(flushed_, end);
  state_->SetDurable(end);
  return absl::OkStatus();
}

void Wal::NoteBypass(const WalLink& end) {
  const schema::MutexLock lock(&mu_);
  // LMDB has all there is: both halves are free. The next entry is not linked to
  // what is in the log, and goes where one who finds nothing there looks for it.
  tail_ = {.link = end, .half = 0, .offset = 0, .known = true};
  applied_ = end.sequence;
  flushed_ = std::max(flushed_, end.sequence);
  Forget();
  state_->SetDurable(end.sequence);
}

}  // namespace nimbus::journal
