// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

#include "weightmap/mapping_cache.h"
#include "weightmap/open_options.h"

#include "io/mapped_file.h"

namespace weightmap {

// Which mappings can stand for each other.
struct MappingKey {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  Mapping mapping = Mapping::kShared;
  bool huge_pages = true;
  bool guard = false;
  friend auto operator<=>(const MappingKey&, const MappingKey&) = default;
};

// A mapping that is in use holds its file open, so that its inode is no other file's.
struct MappingCache::Content {
  // Null: there is none, or of a file that was written to since.
  std::shared_ptr<const io::MappedFile> find(const MappingKey& key, const io::FileState& state);

  // The one that others use from now on: this, or another that came first.
  std::shared_ptr<const io::MappedFile> keep(const MappingKey& key,
                                             std::shared_ptr<const io::MappedFile> mapped);

  std::size_t count_used();

 private:
  std::shared_ptr<const io::MappedFile> find_locked(const MappingKey& key,
                                                    const io::FileState& state) const;

  std::mutex mutex_;
  std::map<MappingKey, std::weak_ptr<const io::MappedFile>> mappings_;
};

inline MappingCache::Content& content_of(MappingCache& cache) {
  return *cache.content_;
}

}  // namespace weightmap
