// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "weightmap/result.h"
#include "weightmap/weight_file.h"

// Brings pages in before they are touched: a first pass over the weights then waits for no disk,
// and what cannot be read is an error here instead of a signal there.
namespace weightmap {

struct PrefaultOptions {
  // Only these, in this order (the one in which a network computes); empty: everything that the
  // file and its data files hold, from front to back.
  std::vector<std::uint32_t> tensors;
  // Called now and then with bytes done and to do; false stops the work.
  std::function<bool(std::uint64_t done_bytes, std::uint64_t total_bytes)> progress;
};

// Returns when all pages are in this process's page table. One thread, since more gain nothing:
// from a disk one stream reads as fast as it can, from the page cache the kernel sets entries of 2
// MiB. On kernels before 5.14 it does nothing, and pages come with the first touch. Errors: kIo (a
// disk that fails, a file that was cut short), kNotFound (a data file is not open), kCancelled.
// REQUIRES: numbers of tensors of the file.
Result<void> prefault(const WeightFile& file, const PrefaultOptions& options = {});

// The same beside the program's own work, on a thread of its own, which calls `progress`, too.
// Keeps the file open. A handle: it moves, and ends the work when it is destroyed before it is
// done.
class BackgroundPrefault {
 public:
  explicit BackgroundPrefault(WeightFile file, PrefaultOptions options = {});
  ~BackgroundPrefault();
  BackgroundPrefault(BackgroundPrefault&&) noexcept;
  BackgroundPrefault& operator=(BackgroundPrefault&&) noexcept;
  BackgroundPrefault(const BackgroundPrefault&) = delete;
  BackgroundPrefault& operator=(const BackgroundPrefault&) = delete;

  // Safe from several threads.
  bool is_done() const;  // or stopped
  std::uint64_t done_bytes() const;
  std::uint64_t total_bytes() const;
  void cancel();

  // Waits for the end; to be called once. Errors: those of prefault; kIo, at once, where the system
  // has no thread to give.
  Result<void> wait();

 private:
  struct Work;
  std::unique_ptr<Work> work_;
};

}  // namespace weightmap
