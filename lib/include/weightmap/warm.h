// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "weightmap/result.h"
#include "weightmap/weight_file.h"

// The page cache is where all processes that use a weight file have their one copy.
namespace weightmap {

// What the page cache has of one file.
struct CacheState {
  std::string path;
  std::uint64_t size_bytes = 0;
  // All, where the kernel does not tell: the caller neither owns the file nor may write to it.
  std::uint64_t cached_bytes = 0;
  // Of those, what mappings are served with by pages of 2 MiB: faulted some 50 times faster. What
  // cp or a download left is in smaller ones. Nothing: the system does not tell.
  std::optional<std::uint64_t> huge_bytes;
};

// Of the weight file and its open data files. Cost: at most a fault for each 2
// MiB. Error: kIo.
Result<std::vector<CacheState>> cache_states(const WeightFile& file);

struct WarmOptions {
  std::function<bool(std::uint64_t done_bytes, std::uint64_t total_bytes)> progress;
};

struct WarmReport {
  std::vector<CacheState> before;
  std::vector<CacheState> after;
  bool was_dropped = false;  // what was cached in small pages was read anew
};

// Brings the file and its data files into the page cache whole, in pages of 2 MiB where the file
// system has such: what is there in smaller ones is dropped and read again, unless another process
// has it in use. Costs a read of what is missing. Errors: those of prefault.
Result<WarmReport> warm(const WeightFile& file, const WarmOptions& options = {});

}  // namespace weightmap
