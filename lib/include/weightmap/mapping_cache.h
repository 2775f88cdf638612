// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>

namespace weightmap {

// The mappings of a process that are in use, by file: deltas of one base, or one file that several
// parts of a program open, then have one mapping of its bytes, one page table, one lock. Belongs to
// the program, who gives it to each open (OpenOptions::cache). Keeps no file open by itself: a
// mapping ends with the last weight file that uses it. Safe from several threads.
class MappingCache {
 public:
  MappingCache();
  ~MappingCache();
  MappingCache(const MappingCache&) = delete;
  MappingCache& operator=(const MappingCache&) = delete;

  std::size_t mapping_count() const;  // in use now

  struct Content;  // internal

 private:
  friend Content& content_of(MappingCache& cache);
  std::unique_ptr<Content> content_;
};

}  // namespace weightmap
