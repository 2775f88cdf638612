// SPDX-License-Identifier: Apache-2.0
#include "weightmap/mapping_cache.h"

#include <utility>

#include "runtime/mapping_cache_content.h"

namespace weightmap {

MappingCache::MappingCache() : content_(std::make_unique<Content>()) {}
MappingCache::~MappingCache() = default;

std::size_t MappingCache::mapping_count() const {
  return content_->count_used();
}

std::shared_ptr<const io::MappedFile> MappingCache::Content::find(const MappingKey& key,
                                                                  const io::FileState& state) {
  const std::scoped_lock lock(mutex_);
  return find_locked(key, state);
}

std::shared_ptr<const io::MappedFile> MappingCache::Content::find_locked(
    const MappingKey& key, const io::FileState& state) const {
  const auto found = mappings_.find(key);
  if (found == mappings_.end()) return nullptr;
  std::shared_ptr<const io::MappedFile> mapped = found->second.lock();
  const bool is_current = mapped != nullptr && mapped->file()->state_at_open() == state;
  return is_current ? mapped : nullptr;
}

std::shared_ptr<const io::MappedFile> MappingCache::Content::keep(
    const MappingKey& key, std::shared_ptr<const io::MappedFile> mapped) {
  const std::scoped_lock lock(mutex_);
  if (auto other = find_locked(key, mapped->file()->state_at_open())) return other;
  std::erase_if(mappings_, [](const auto& entry) { return entry.second.expired(); });
  mappings_[key] = mapped;
  return mapped;
}

std::size_t MappingCache::Content::count_used() {
  const std::scoped_lock lock(mutex_);
  std::erase_if(mappings_, [](const auto& entry) { return entry.second.expired(); });
  return mappings_.size();
}

}  // namespace weightmap
