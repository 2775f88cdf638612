// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "weightmap/diff.h"
#include "weightmap/result.h"

#include "convert/diff_match.h"

namespace weightmap::convert {

// Compares the elements of matches, those of which no digest tells that they are equal.
class ElementPass {
 public:
  // All three must outlive it.
  ElementPass(DiffSide& first, DiffSide& second, const DiffOptions& options)
      : first_(first), second_(second), options_(options) {}

  // What a later compare() of each match costs. Errors: kUnsupported (tensors that overlap so often
  // that it does not end), kCancelled.
  Result<void> plan(std::span<const DiffMatch> matches,
                    std::span<const std::uint32_t> first_places,
                    std::span<const std::uint32_t> second_places);

  // Nothing where the elements are the same or cannot be compared. Errors: those of
  // DiffSide::read; kCancelled. REQUIRES: plan() saw the matches.
  Result<std::optional<ElementChanges>> compare(std::span<const DiffMatch> matches, std::size_t i);

  std::uint64_t done_bytes() const { return done_bytes_; }

 private:
  bool is_to_read(const DiffMatch& match) const;
  bool is_known_equal(const SideTensor& first, const SideTensor& second) const;
  Result<ElementChanges> compare_elements(const DiffMatch& match);
  Result<void> tell_progress(std::uint64_t bytes);

  using Places = std::pair<std::uint32_t, std::uint32_t>;

  DiffSide& first_;
  DiffSide& second_;
  const DiffOptions& options_;
  std::vector<Places> places_;                            // by match
  std::map<Places, std::optional<ElementChanges>> done_;  // nothing yet: to be read
  std::uint64_t total_bytes_ = 0;
  std::uint64_t done_bytes_ = 0;
  std::vector<std::byte> first_resolved_;
  std::vector<std::byte> second_resolved_;
};

}  // namespace weightmap::convert
