// SPDX-License-Identifier: Apache-2.0
#include "io/write_behind.h"

#include <utility>

#include "io/start_thread.h"

namespace weightmap::io {
namespace {

constexpr std::uint64_t kWritebackBytes = 64U << 20U;

}  // namespace

WriteBehind::WriteBehind(const StagedOutput& output, Options options)
    : output_(output), options_(options) {}

WriteBehind::~WriteBehind() {
  {
    const std::scoped_lock lock(mutex_);
    is_over_ = true;
    jobs_.clear();
  }
  changed_.notify_all();
  thread_.reset();
}

WriteBehind::Buffer WriteBehind::make_buffer() {
  return Buffer(new (kAlignment) std::byte[kBufferBytes]);
}

Result<void> WriteBehind::put(std::uint64_t offset, std::size_t size) {
  if (options_.threaded && !thread_) thread_ = start_thread([this] { work(); });
  Job job{std::move(filling_), offset, size};
  if (!thread_) {
    Result<void> written = write(job);
    filling_ = std::move(job.buffer);
    return written;
  }
  std::unique_lock lock(mutex_);
  jobs_.push_back(std::move(job));
  changed_.notify_all();
  if (made_ < kBuffers) {
    ++made_;
    unused_.push_back(make_buffer());
  }
  changed_.wait(lock, [this] { return !unused_.empty(); });
  filling_ = std::move(unused_.back());
  unused_.pop_back();
  return outcome();
}

Result<void> WriteBehind::drain() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return jobs_.empty() && !is_writing_; });
  return outcome();
}

Result<void> WriteBehind::write(const Job& job) {
  Result<void> written = output_.write_at(job.offset, {job.buffer.get(), job.size});
  if (!written || !options_.sync) return written;
  const std::uint64_t end = job.offset + job.size;
  if (!writeback_begun_) writeback_begun_ = job.offset;
  if (end - *writeback_begun_ >= kWritebackBytes) {
    output_.start_writeback(*writeback_begun_, end - *writeback_begun_);
    writeback_begun_ = end;
  }
  return written;
}

// After a failure nothing more is written, and buffers come back all the same.
void WriteBehind::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return !jobs_.empty() || is_over_; });
    if (is_over_) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    if (!failure_) {
      is_writing_ = true;
      lock.unlock();
      const Result<void> written = write(job);
      lock.lock();
      is_writing_ = false;
      if (!written) failure_ = written.error();
    }
    unused_.push_back(std::move(job.buffer));
    changed_.notify_all();
  }
}

}  // namespace weightmap::io
