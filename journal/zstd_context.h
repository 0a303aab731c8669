// zstd's contexts, one of each in a thread: making one costs more than a small body
// or a frame does.
#pragma once

#include <zstd.h>

namespace nimbus::journal {

// Without parameters and without a prefix of an earlier use. Valid until the thread ends.
ZSTD_CCtx* ThreadCompressor();
ZSTD_DCtx* ThreadDecompressor();

}  // namespace nimbus::journal
