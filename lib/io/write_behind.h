// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "weightmap/error.h"
#include "weightmap/result.h"

#include "io/staged_output.h"

namespace weightmap::io {

// Buffers on their way into a file. While a thread writes one, the caller fills the next: reading
// and hashing take as long as writing, so that two processors do in half the time.
// For one caller at a time.
class WriteBehind {
 public:
  static constexpr std::size_t kBufferBytes = 2U << 20U;

  struct Options {
    // Else, and where the system has no thread to give, put() itself writes: a thread costs more
    // than a small file.
    bool threaded = true;
    bool sync = true;  // the kernel is to begin early to bring the bytes to the disk
  };

  // REQUIRES: the output outlives it.
  WriteBehind(const StagedOutput& output, Options options);
  ~WriteBehind();  // what is not written yet never is
  WriteBehind(const WriteBehind&) = delete;
  WriteBehind& operator=(const WriteBehind&) = delete;

  // The one to fill.
  std::span<std::byte> buffer() { return {filling_.get(), kBufferBytes}; }

  // Its first bytes are those of the file at `offset`; from now on another is to be filled. Waits
  // while all are on their way. Errors: those of this or an earlier write.
  // REQUIRES: an offset behind those of earlier calls.
  Result<void> put(std::uint64_t offset, std::size_t size);

  // Waits until all is written. Errors: those of a write.
  Result<void> drain();

 private:
  static constexpr std::align_val_t kAlignment{4096};
  static constexpr std::size_t kBuffers = 3;  // to fill, to write, and one between them
  struct Free {
    void operator()(std::byte* bytes) const { ::operator delete[](bytes, kAlignment); }
  };
  using Buffer = std::unique_ptr<std::byte, Free>;
  struct Job {
    Buffer buffer;
    std::uint64_t offset = 0;
    std::size_t size = 0;
  };

  static Buffer make_buffer();
  Result<void> write(const Job& job);
  void work();
  Result<void> outcome() const { return failure_ ? Result<void>(*failure_) : Result<void>(); }

  const StagedOutput& output_;
  const Options options_;
  Buffer filling_ = make_buffer();
  std::optional<std::uint64_t> writeback_begun_;  // what is before is on its way to the disk

  std::mutex mutex_;  // guards:
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  std::vector<Buffer> unused_;
  std::size_t made_ = 1;  // buffers
  bool is_writing_ = false;
  bool is_over_ = false;
  std::optional<Error> failure_;

  std::optional<std::jthread> thread_;  // once there is something to write
};

}  // namespace weightmap::io
