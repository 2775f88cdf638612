// SPDX-License-Identifier: Apache-2.0
#include "io/read_by_threads.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <new>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "base/text.h"
#include "io/start_thread.h"

namespace weightmap::io {
namespace {

constexpr std::uint64_t kPieceBytes = std::uint64_t{8} << 20U;
constexpr std::size_t kThreads = 4;  // more than processors: they wait for answers

Error cancelled(const File& file) {
  return {ErrorCode::kCancelled, concat(file.path(), ": cancelled")};
}

class Reading {
 public:
  Reading(const File& file, std::span<std::byte> into) : file_(file), into_(into) {}

  // Piece by piece, until none is left or it cannot go on.
  template <typename GoOn>
  void work(const GoOn& go_on) {
    for (std::uint64_t begin = next_.fetch_add(kPieceBytes); begin < into_.size() && !is_stopped_;
         begin = next_.fetch_add(kPieceBytes)) {
      const std::uint64_t size = std::min(kPieceBytes, into_.size() - begin);
      Result<void> read = file_.read_at(begin, into_.subspan(begin, size));
      if (read && !go_on(done_bytes_ += size)) read = cancelled(file_);
      if (!read) stop(read.error());
    }
  }

  Result<void> outcome() const { return first_ ? Result<void>(*first_) : Result<void>(); }

 private:
  void stop(const Error& error) {
    const std::scoped_lock lock(mutex_);
    if (!first_) first_ = error;
    is_stopped_ = true;
  }

  const File& file_;
  const std::span<std::byte> into_;
  std::atomic<std::uint64_t> next_ = 0;
  std::atomic<std::uint64_t> done_bytes_ = 0;
  std::atomic<bool> is_stopped_ = false;
  std::mutex mutex_;
  std::optional<Error> first_;
};

Result<PrivateBytes> memory_for(const File& file) {
  try {
    return PrivateBytes(file.size_bytes(), PrivateBytes::kPage);
  } catch (const std::bad_alloc&) {
    return Error(ErrorCode::kIo,
                 concat(file.path(), ": there is no memory for its ", file.size_bytes(), " bytes"));
  }
}

}  // namespace

Result<PrivateBytes> read_by_threads(const File& file,
                                     const std::function<bool(std::uint64_t done_bytes)>& go_on) {
  if (!go_on(0)) return cancelled(file);
  Result<PrivateBytes> memory = memory_for(file);
  if (!memory) return memory;
  Reading reading(file, memory->bytes());
  const std::size_t pieces = file.size_bytes() / kPieceBytes + 1;
  {
    std::vector<std::optional<std::jthread>> others;
    for (std::size_t i = 1; i < std::min(pieces, kThreads); ++i)
      others.push_back(start_thread([&] { reading.work([](std::uint64_t) { return true; }); }));
    reading.work(go_on);
  }
  const Result<void> outcome = reading.outcome();
  if (!outcome) return outcome.error();
  go_on(file.size_bytes());  // what the others read last
  return memory;
}

}  // namespace weightmap::io
