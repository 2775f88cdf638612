// SPDX-License-Identifier: Apache-2.0
#include "runtime/data_files.h"

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "format/file_identity.h"
#include "format/flatbuffer.h"
#include "io/directory.h"
#include "io/file.h"

namespace weightmap {
namespace {

constexpr std::string_view kWayOut = ": put that file back, or make the weight file anew";

template <typename... Pieces>
Error other_file(const Pieces&... pieces) {
  return {ErrorCode::kCorrupt,
          concat("is not the file that the weight file was made for, ", pieces..., kWayOut)};
}

// What stands in for the file may be anything: a FIFO, a directory, a dead link.
Error not_opened(const Error& error) {
  if (error.code() == ErrorCode::kNotFound) {
    return {ErrorCode::kNotFound, concat("is missing", kWayOut)};
  }
  const bool is_other = error.code() == ErrorCode::kInvalidArgument;
  return {is_other ? ErrorCode::kCorrupt : error.code(), error.message()};
}

Result<OpenedFile> open_sibling(const io::Directory& directory,
                                const fb::DataFile& expected,
                                const OpenOptions& options) {
  Result<io::File> file = directory.open_file(format::text_of(expected.name()));
  if (!file) return not_opened(file.error());
  const Result<void> same = check_identity(expected, *file);
  if (!same) return same.error();
  return map_file(std::move(*file), options);
}

Result<io::Directory> directory_of(const std::optional<std::string>& path) {
  if (path) return io::Directory::containing(*path);
  return Error(ErrorCode::kUnsupported,
               "lies beside the weight file, which was not opened by a path: open it by its path");
}

}  // namespace

Result<Digest> identity_of(fb::DataFileKind kind, const io::File& file) {
  const auto read = [&file](std::uint64_t offset, std::span<std::byte> into) {
    return file.read_at(offset, into);
  };
  return format::identity_of(kind, file.size_bytes(), read);
}

Result<void> check_identity(const fb::DataFile& expected, const io::File& file) {
  if (file.size_bytes() != expected.size_bytes()) {
    return other_file("it has ", file.size_bytes(), " bytes vs ", expected.size_bytes());
  }
  const Result<Digest> found = identity_of(expected.kind(), file);
  if (!found) return other_file(found.error().message());
  const Digest recorded = format::digest_from(*expected.identity());
  if (*found == recorded) return {};
  return other_file("the digest of its directory is ", found->hex(), " vs ", recorded.hex());
}

Result<std::vector<OpenedFile>> open_siblings(const format::IndexView& index,
                                              const std::optional<std::string>& path,
                                              const OpenOptions& options) {
  std::vector<OpenedFile> siblings;
  const auto& files = *index.root->data_files();
  if (files.size() < 2) return siblings;
  const Result<io::Directory> directory = directory_of(path);
  for (std::uint32_t number = 1; number < files.size(); ++number) {
    const fb::DataFile& expected = *files.Get(number);
    Result<OpenedFile> opened =
        directory ? open_sibling(*directory, expected, options) : directory.error();
    if (opened) {
      siblings.push_back(std::move(*opened));
      continue;
    }
    const Error problem =
        opened.error().with_context(concat("data file ", quoted(format::text_of(expected.name()))));
    if (options.need_data_files) return problem;
    siblings.push_back({.problem = problem.message()});
  }
  return siblings;
}

}  // namespace weightmap
