// Plain LMDB: what someone stores events in who wants nothing but LMDB, and the
// same with a hash and compression added by hand.
#include <lmdb.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <zstd.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/group_queue.h"
#include "bench/peer.h"
#include "nimbus/journal/journal.h"
#include "nimbus/schema/check.h"
#include "nimbus/schema/status.h"

namespace nimbus::bench {
namespace {

constexpr size_t kMapBytes = size_t{1} << 36;

absl::Status LmdbError(std::string_view what, int code) {
  return schema::Error(absl::StatusCode::kInternal, "{}: {}", what, mdb_strerror(code));
}

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};

// SHA-256 of the value, then the value by itself in zstd at the journal's level.
Bytes HashAndCompress(const Bytes& value) {
  static const int level = journal::Options().compression_level;
  thread_local const std::unique_ptr<ZSTD_CCtx, FreeContext> context(ZSTD_createCCtx());
  Bytes result(SHA256_DIGEST_LENGTH + ZSTD_compressBound(value.size()));
  static EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  NIMBUS_CHECK(EVP_Digest(value.data(), value.size(), result.data(), nullptr, sha256, nullptr) ==
               1);
  const size_t size =
      ZSTD_compressCCtx(context.get(), result.data() + SHA256_DIGEST_LENGTH,
                        result.size() - SHA256_DIGEST_LENGTH, value.data(), value.size(), level);
  NIMBUS_CHECK(!ZSTD_isError(size));
  result.resize(SHA256_DIGEST_LENGTH + size);
  return result;
}

// One value per event under an ascending key; one transaction per group.
class LmdbPeer final : public Peer {
 public:
  struct Settings {
    std::vector<schema::Uuid> sessions;
    bool by_hand = false;
  };

  LmdbPeer(MDB_env* environment, MDB_dbi database, Settings settings)
      : environment_(environment),
        database_(database),
        settings_(std::move(settings)),
        queue_(std::make_unique<GroupQueue>(
            [this](const std::vector<const Bytes*>& values) { return Commit(values); })) {}

  ~LmdbPeer() override {
    queue_.reset();
    mdb_env_close(environment_);
  }

  absl::Status Append(size_t writer, const test::WorkloadOperation& operation, size_t begin,
                      size_t end) override {
    return Put(EncodeValues(operation, begin, end, settings_.sessions[writer]));
  }

  absl::Status Put(std::vector<Bytes> values) {
    if (settings_.by_hand) {
      for (Bytes& value : values) value = HashAndCompress(value);
    }
    return queue_->Put(values);
  }

 private:
  absl::Status Commit(const std::vector<const Bytes*>& values) {
    MDB_txn* transaction = nullptr;
    if (const int code = mdb_txn_begin(environment_, nullptr, 0, &transaction); code != 0) {
      return LmdbError("mdb_txn_begin", code);
    }
    for (const Bytes* bytes : values) {
      MDB_val key{sizeof next_key_, &next_key_};
      MDB_val value{bytes->size(), const_cast<uint8_t*>(bytes->data())};  // put does not write it
      if (const int code = mdb_put(transaction, database_, &key, &value, MDB_APPEND); code != 0) {
        mdb_txn_abort(transaction);
        return LmdbError("mdb_put", code);
      }
      ++next_key_;
    }
    const int code = mdb_txn_commit(transaction);
    return code == 0 ? absl::OkStatus() : LmdbError("mdb_txn_commit", code);
  }

  MDB_env* const environment_;
  const MDB_dbi database_;
  const Settings settings_;
  uint64_t next_key_ = 0;  // of the queue's thread
  std::unique_ptr<GroupQueue> queue_;
};

absl::StatusOr<MDB_dbi> OpenDatabase(MDB_env* environment) {
  MDB_txn* transaction = nullptr;
  if (const int code = mdb_txn_begin(environment, nullptr, 0, &transaction); code != 0) {
    return LmdbError("mdb_txn_begin", code);
  }
  MDB_dbi database = 0;
  if (const int code = mdb_dbi_open(transaction, nullptr, MDB_INTEGERKEY, &database); code != 0) {
    mdb_txn_abort(transaction);
    return LmdbError("mdb_dbi_open", code);
  }
  if (const int code = mdb_txn_commit(transaction); code != 0) {
    return LmdbError("mdb_txn_commit", code);
  }
  return database;
}

absl::StatusOr<std::unique_ptr<Peer>> Open(const PeerSetup& setup, bool by_hand) {
  MDB_env* environment = nullptr;
  if (const int code = mdb_env_create(&environment); code != 0) {
    return LmdbError("mdb_env_create", code);
  }
  std::unique_ptr<MDB_env, decltype(&mdb_env_close)> guard(environment, mdb_env_close);
  if (const int code = mdb_env_set_mapsize(environment, kMapBytes); code != 0) {
    return LmdbError("mdb_env_set_mapsize", code);
  }
  const unsigned flags = setup.relaxed ? MDB_NOSYNC : 0;
  if (const int code = mdb_env_open(environment, setup.directory.c_str(), flags, 0644); code != 0) {
    return LmdbError("mdb_env_open", code);
  }
  NIMBUS_ASSIGN_OR_RETURN(const MDB_dbi database, OpenDatabase(environment));
  auto peer = std::make_unique<LmdbPeer>(
      guard.release(), database,
      LmdbPeer::Settings{.sessions = setup.sessions, .by_hand = by_hand});
  for (const schema::Uuid& session : setup.sessions) {
    NIMBUS_RETURN_IF_ERROR(peer->Put({EncodeValue(test::SessionStarted(session))}));
  }
  return peer;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Peer>> OpenLmdb(const PeerSetup& setup) {
  return Open(setup, /*by_hand=*/false);
}

absl::StatusOr<std::unique_ptr<Peer>> OpenLmdbByHand(const PeerSetup& setup) {
  return Open(setup, /*by_hand=*/true);
}

}  // namespace nimbus::bench
