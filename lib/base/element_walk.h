// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

namespace weightmap {

// Goes through the elements of a box, the last dimension fastest, and tells where they lie: in runs
// of elements at equal distances. Dimensions that continue each other are taken as one.
class ElementWalk {
 public:
  struct Dimension {
    std::size_t size;           // at least 1
    std::ptrdiff_t step_bytes;  // from one index to the next
  };
  struct Run {
    std::ptrdiff_t offset_bytes;  // of its first element, from that of the box
    std::size_t count;
  };

  ElementWalk(const std::vector<Dimension>& dimensions, std::size_t element_bytes);

  // Between elements of a run.
  std::ptrdiff_t step_bytes() const { return dimensions_.back().step_bytes; }

  // Elements from here on that lie one behind the other, as far as one run goes; 0 if there is a
  // gap between them.
  std::size_t straight_count() const;

  // The next elements, at most so many. REQUIRES: most > 0, the walk is not at its end.
  Run next(std::size_t most);

 private:
  void carry();

  std::vector<Dimension> dimensions_;  // at least one
  std::vector<std::size_t> index_;
  std::ptrdiff_t offset_bytes_ = 0;
  bool is_straight_ = false;
};

}  // namespace weightmap
