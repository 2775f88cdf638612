// SPDX-License-Identifier: Apache-2.0
#include "runtime/opened_file.h"

#include <cstdint>
#include <utility>

#include "base/text.h"
#include "io/file_system.h"
#include "runtime/mapping_cache_content.h"

namespace weightmap {
namespace {

// What is asked for, but for kAutomatic, which is decided here.
void choose_mapping(OpenedFile& opened, const io::File& file, Mapping asked) {
  opened.got = asked;
  if (asked != Mapping::kAutomatic) return;
  opened.got = Mapping::kShared;
  const io::FileSystem place = io::file_system_of(file);
  if (place.objection.empty()) return;
  opened.got = Mapping::kCopied;
  opened.reason = concat("it lies on ", place.name, ", where ", place.objection);
}

io::MapOptions map_options(const OpenOptions& options, Mapping got) {
  const bool is_private = got == Mapping::kPrivate;
  return {.sharing = is_private ? io::Sharing::kPrivate : io::Sharing::kShared,
          .huge_pages = options.huge_pages,
          .guard = options.guard};
}

MappingKey key_of(const io::File& file, const OpenOptions& options, Mapping got) {
  return {.device = file.identity().device,
          .inode = file.identity().inode,
          .mapping = got,
          .huge_pages = options.huge_pages,
          .guard = options.guard};
}

// The mapping that the cache has, or the one that `make` makes and the cache then has.
template <typename Make>
Result<void> take_mapping(OpenedFile& opened,
                          io::File file,
                          const OpenOptions& options,
                          const Make& make) {
  const bool is_shared = options.cache != nullptr && opened.got != Mapping::kPrivate;
  const MappingKey key = key_of(file, options, opened.got);
  if (is_shared) {
    opened.mapped = content_of(*options.cache).find(key, file.state_at_open());
    opened.is_from_cache = opened.mapped != nullptr;
    if (opened.is_from_cache) return {};
  }
  Result<io::MappedFile> made = make(std::move(file));
  if (!made) return made.error();
  opened.mapped = std::make_shared<const io::MappedFile>(std::move(*made));
  if (is_shared) opened.mapped = content_of(*options.cache).keep(key, std::move(opened.mapped));
  return {};
}

Result<void> copy_file(OpenedFile& opened,
                       const OpenOptions& options,
                       const std::function<bool(std::uint64_t)>& go_on) {
  return take_mapping(opened, *opened.mapped->file(), options,
                      [&](io::File file) { return io::MappedFile::copy(std::move(file), go_on); });
}

}  // namespace

Result<OpenedFile> map_file(io::File file, const OpenOptions& options) {
  OpenedFile opened{.path = file.path()};
  choose_mapping(opened, file, options.mapping);
  const auto map = [&](io::File from) {
    return io::MappedFile::map(std::move(from), map_options(options, opened.got));
  };
  if (opened.got == Mapping::kCopied) {
    opened.mapped = std::make_shared<const io::MappedFile>(io::MappedFile::unread(std::move(file)));
    return opened;
  }
  const Result<void> taken = take_mapping(opened, std::move(file), options, map);
  if (!taken) return taken.error();
  return opened;
}

Result<void> copy_files(std::span<OpenedFile* const> files, const OpenOptions& options) {
  const auto is_to_copy = [](const OpenedFile& file) {
    return file.got == Mapping::kCopied && file.mapped != nullptr && file.mapped->bytes().empty();
  };
  std::uint64_t total = 0;
  for (const OpenedFile* const file : files)
    total += is_to_copy(*file) ? file->mapped->size_bytes() : 0;
  std::uint64_t done_before = 0;
  for (OpenedFile* const file : files) {
    if (!is_to_copy(*file)) continue;
    const std::uint64_t size = file->mapped->size_bytes();
    Result<void> copied = copy_file(*file, options, [&](std::uint64_t done) {
      return !options.progress || options.progress(done_before + done, total);
    });
    if (!copied) return copied;
    done_before += size;
  }
  return {};
}

void lock_file(OpenedFile& file) {
  const Result<void> locked = file.mapped->lock();
  if (!locked) file.lock_problem = locked.error().message();
}

}  // namespace weightmap
