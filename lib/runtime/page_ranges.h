// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "weightmap/prefault.h"
#include "weightmap/result.h"
#include "weightmap/weight_file.h"

#include "format/header.h"

namespace weightmap {

// Ranges of a weight file's data files, whose pages are to be brought in. Refers to the file.
class PageRanges {
 public:
  // Everything, or these tensors in this order. Error: kNotFound (a data file is not open).
  static Result<PageRanges> of(const WeightFile::State& file,
                               std::span<const std::uint32_t> tensors);

  std::uint64_t total_bytes() const { return total_bytes_; }

  // Slice by slice; `go_on` is told how much is done after each, and before the first.
  // Errors: kIo, kCancelled.
  Result<void> prefault(const std::function<bool(std::uint64_t done_bytes)>& go_on) const;

 private:
  struct Piece {
    std::uint32_t data_file = 0;
    format::Range range;
  };
  explicit PageRanges(const WeightFile::State& file) : file_(file) {}
  Result<void> add(std::uint32_t data_file, const format::Range& range);
  Result<void> add_tensor(std::uint32_t number);

  const WeightFile::State& file_;
  std::vector<Piece> pieces_;
  std::uint64_t total_bytes_ = 0;
};

// What prefault() of prefault.h does.
Result<void> prefault(const WeightFile::State& file, const PrefaultOptions& options);

}  // namespace weightmap
