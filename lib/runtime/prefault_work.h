// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <thread>

#include "weightmap/prefault.h"
#include "weightmap/result.h"
#include "weightmap/weight_file.h"

namespace weightmap {

// Pages that a thread of its own brings in. Ends the thread when it is destroyed.
class PrefaultWork {
 public:
  // Begins; where the system has no thread to give, it is done, with kIo. REQUIRES: the file
  // outlives it.
  PrefaultWork(const WeightFile::State& file, PrefaultOptions options);
  ~PrefaultWork() { cancel(); }
  PrefaultWork(const PrefaultWork&) = delete;
  PrefaultWork& operator=(const PrefaultWork&) = delete;

  bool is_done() const { return is_done_; }  // or stopped
  std::uint64_t done_bytes() const { return done_bytes_; }
  std::uint64_t total_bytes() const { return total_bytes_; }
  void cancel() { is_cancelled_ = true; }

  // What it came to; valid when is_done() says so.
  const Result<void>& outcome() const { return outcome_; }
  void join() {
    if (thread_ && thread_->joinable()) thread_->join();
  }

 private:
  void run();
  bool go_on(std::uint64_t done);

  const WeightFile::State& file_;
  const PrefaultOptions options_;
  std::atomic<std::uint64_t> done_bytes_ = 0;
  std::atomic<std::uint64_t> total_bytes_ = 0;
  std::atomic<bool> is_cancelled_ = false;
  std::atomic<bool> is_done_ = false;
  Result<void> outcome_;                // before is_done_ is set
  std::optional<std::jthread> thread_;  // last: it uses all of the above
};

}  // namespace weightmap
