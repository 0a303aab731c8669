#include "tools/import/compression.h"

#include <zstd.h>

#include <memory>
#include <vector>

#include "nimbus/schema/status.h"

namespace nimbus::tools::import {

using absl::StatusCode;
using schema::Error;

absl::Status TooLarge(size_t bytes_max) {
  return Error(StatusCode::kResourceExhausted, "larger than the limit of {} bytes", bytes_max);
}

bool IsZstd(std::string_view bytes) { return bytes.starts_with("\x28\xB5\x2F\xFD"); }

absl::StatusOr<std::string> DecompressZstd(std::string_view compressed, size_t bytes_max) {
  const std::unique_ptr<ZSTD_DStream, size_t (*)(ZSTD_DStream*)> stream(ZSTD_createDStream(),
                                                                        ZSTD_freeDStream);
  if (stream == nullptr) return Error(StatusCode::kResourceExhausted, "no memory for zstd");
  std::vector<char> buffer(ZSTD_DStreamOutSize());
  ZSTD_inBuffer in{compressed.data(), compressed.size(), 0};
  std::string out;
  for (size_t left = 1;;) {
    ZSTD_outBuffer chunk{buffer.data(), buffer.size(), 0};
    const size_t consumed = in.pos;
    left = ZSTD_decompressStream(stream.get(), &chunk, &in);
    if (ZSTD_isError(left))
      return Error(StatusCode::kInvalidArgument, "zstd: {} near byte {}", ZSTD_getErrorName(left),
                   in.pos);
    out.append(buffer.data(), chunk.pos);
    if (out.size() > bytes_max) return TooLarge(bytes_max);
    if (left == 0 && in.pos == in.size) return out;
    if (in.pos == consumed && chunk.pos == 0)
      return Error(StatusCode::kInvalidArgument, "zstd: the file ends inside a frame");
  }
}

}  // namespace nimbus::tools::import
