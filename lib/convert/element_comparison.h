// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "weightmap/diff.h"
#include "weightmap/dtype.h"

namespace weightmap::convert {

// Bytes that an element takes where it is compared: those shorter than a byte are unpacked to one.
std::uint64_t compared_bytes(Dtype dtype);

// Whether elements of the two can be held against each other: one dtype, or both numbers, or both
// pairs of them.
bool are_comparable(Dtype first, Dtype second);

// Turns elements that are stored conjugated or negated into what they stand for.
// REQUIRES: can_resolve.
bool can_resolve(Dtype dtype);  // its numbers have a sign bit that is just that
void resolve_signs(Dtype dtype, bool conj, bool neg, std::span<std::byte> elements);

// Counts how two runs of elements differ, piece by piece, in a constant amount of memory.
class ElementComparison {
 public:
  // REQUIRES: are_comparable.
  ElementComparison(Dtype first, Dtype second);

  // REQUIRES: as many elements of compared_bytes() in one as in the other.
  void add(std::span<const std::byte> first, std::span<const std::byte> second);

  const ElementChanges& changes() const { return changes_; }

 private:
  // The elements of one side as numbers.
  struct Numbers {
    void decode(std::span<const std::byte> elements);

    Dtype dtype;
    std::vector<double> values = {};  // one or two an element
  };

  void add_piece(std::span<const std::byte> first, std::span<const std::byte> second);
  void mark_bits(std::span<const std::byte> first, std::span<const std::byte> second);
  void mark_numbers();
  void note(std::size_t element, const std::byte* first, const std::byte* second);

  Numbers first_;
  Numbers second_;
  std::size_t parts_ = 0;              // numbers an element; 0: no numbers
  std::vector<std::uint8_t> changed_;  // of the piece, 1 for each element that is
  ElementChanges changes_;
};

}  // namespace weightmap::convert
