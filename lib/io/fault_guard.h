// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "weightmap/result.h"

// A page of a mapped file that cannot be read (the file was cut short, its disk fails) is SIGBUS at
// the touch. A guard lets the thread go on: in the handler of the signal a page of zeros takes the
// place of the one that cannot be read, and the fault is remembered, for the caller to ask after
// its computation. Nothing is jumped over: destructors and locks are as they would be.
namespace weightmap::io {

// Watches over a mapping as long as it lives. The first one installs the handler, which stays. It
// leaves alone whatever lies outside of watched mappings: that goes to the handler that was there
// before, or to the system's own. A handler that is installed later takes its place, unless it
// passes on what is not its own.
class FaultGuard {
 public:
  // REQUIRES: whole pages from the first byte on, which stay mapped longer than the guard lives;
  // `is_writable` as they are. Errors: kIo (no handler can be installed), kUnsupported (kMost
  // mappings are watched).
  static constexpr std::size_t kMost = 4096;
  static Result<std::unique_ptr<FaultGuard>> watch(std::span<const std::byte> bytes,
                                                   bool is_writable);

  ~FaultGuard();
  FaultGuard(const FaultGuard&) = delete;
  FaultGuard& operator=(const FaultGuard&) = delete;

  // One atomic load. What a thread touched is known to it at once.
  bool has_faults() const;

  // Pages that became zeros, neighbours together, ascending.
  struct Fault {
    std::uint64_t offset_bytes = 0;
    std::uint64_t size_bytes = 0;  // the last may reach past the mapping's end, to that of its page
  };
  std::vector<Fault> faults() const;

  // Whether the process's handler is still the one that guards need.
  static bool is_in_force();

  struct Watched;  // internal

 private:
  FaultGuard(std::unique_ptr<Watched> watched, std::size_t slot);

  std::unique_ptr<Watched> watched_;
  std::size_t slot_;
};

}  // namespace weightmap::io
