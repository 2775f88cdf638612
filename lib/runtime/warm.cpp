// SPDX-License-Identifier: Apache-2.0
#include "weightmap/warm.h"

#include <algorithm>

#include "weightmap/prefault.h"

#include "io/page_cache.h"
#include "runtime/weight_file_state.h"

namespace weightmap {
namespace {

// The last, begun one is never huge, and a hole of a few more costs less than to read all again.
bool is_in_small_pages(const CacheState& state) {
  constexpr std::uint64_t kHugeBytes = std::uint64_t{2} << 20U;
  if (!state.huge_bytes) return false;
  const std::uint64_t whole = state.cached_bytes - state.cached_bytes % kHugeBytes;
  return *state.huge_bytes + whole / 32 < whole;
}

// Whether there was any.
Result<bool> drop_small_pages(const WeightFile& file, std::span<const CacheState> states) {
  bool was_dropped = false;
  for (const OpenedFile* const opened : state_of(file).open_files()) {
    const auto state = std::ranges::find(states, opened->path, &CacheState::path);
    if (!is_in_small_pages(*state)) continue;
    const Result<void> dropped = io::drop_from_cache(*opened->mapped);
    if (!dropped) return dropped.error();
    was_dropped = true;
  }
  return was_dropped;
}

}  // namespace

Result<std::vector<CacheState>> cache_states(const WeightFile& file) {
  std::vector<CacheState> states;
  for (const OpenedFile* const opened : state_of(file).open_files()) {
    const Result<io::CachedBytes> found = io::look_into_cache(*opened->mapped);
    if (!found) return found.error();
    states.push_back({.path = opened->path,
                      .size_bytes = opened->mapped->bytes().size(),
                      .cached_bytes = found->cached,
                      .huge_bytes = found->huge});
  }
  return states;
}

Result<WarmReport> warm(const WeightFile& file, const WarmOptions& options) {
  WarmReport report;
  auto before = cache_states(file);
  if (!before) return before.error();
  report.before = std::move(*before);
  const Result<bool> was_dropped = drop_small_pages(file, report.before);
  if (!was_dropped) return was_dropped.error();
  report.was_dropped = *was_dropped;
  const Result<void> there = prefault(file, {.tensors = {}, .progress = options.progress});
  if (!there) return there.error();
  auto after = cache_states(file);
  if (!after) return after.error();
  report.after = std::move(*after);
  return report;
}

}  // namespace weightmap
