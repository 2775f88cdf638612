// SPDX-License-Identifier: Apache-2.0
#include "io/read_by_threads.h"

#include <algorithm>
#include <cstddef>
#include <new>
#include <span>

#include "base/text.h"
#include "io/share_work.h"

namespace weightmap::io {
namespace {

constexpr std::uint64_t kPieceBytes = std::uint64_t{8} << 20U;
constexpr std::size_t kThreads = 4;  // more than processors: they wait for answers

Result<PrivateBytes> memory_for(const File& file) {
  try {
    return PrivateBytes(file.size_bytes(), PrivateBytes::kPage);
  } catch (const std::bad_alloc&) {
    return Error(ErrorCode::kIo,
                 concat(file.path(), ": there is no memory for its ", file.size_bytes(), " bytes"));
  }
}

Worker piece_reader(const File& file, std::span<std::byte> into) {
  return [&file, into](std::size_t piece, const WorkProgress& progress) {
    const std::uint64_t begin = piece * kPieceBytes;
    const std::uint64_t size = std::min(kPieceBytes, into.size() - begin);
    Result<void> read = file.read_at(begin, into.subspan(begin, size));
    return read ? progress(size) : read;
  };
}

}  // namespace

Result<PrivateBytes> read_by_threads(const File& file,
                                     const std::function<bool(std::uint64_t done_bytes)>& go_on) {
  std::uint64_t done_bytes = 0;
  const WorkProgress tell = [&](std::uint64_t more_bytes) -> Result<void> {
    done_bytes += more_bytes;
    if (go_on(done_bytes)) return {};
    return Error(ErrorCode::kCancelled, concat(file.path(), ": cancelled"));
  };
  const Result<void> begun = tell(0);
  if (!begun) return begun.error();
  Result<PrivateBytes> memory = memory_for(file);
  if (!memory) return memory;
  const Result<void> read =
      share_work({.items = (file.size_bytes() + kPieceBytes - 1) / kPieceBytes,
                  .threads = kThreads,
                  .make_worker = [&] { return piece_reader(file, memory->bytes()); },
                  .tell = tell});
  if (!read) return read.error();
  return memory;
}

}  // namespace weightmap::io
