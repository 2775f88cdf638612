// SPDX-License-Identifier: Apache-2.0
#include "convert/base_file.h"

#include <utility>

#include "base/path_text.h"
#include "base/text.h"
#include "convert/segment_places.h"
#include "convert/source.h"
#include "format/flatbuffer.h"
#include "io/directory.h"
#include "runtime/data_files.h"
#include "runtime/weight_file_state.h"

namespace weightmap::convert {
namespace {

Result<void> check_is_other(const io::File& file, const std::string& target) {
  const Result<io::File> existing = io::File::open(target);
  if (!existing || existing->identity() != file.identity()) return {};
  return Error(ErrorCode::kInvalidArgument,
               concat(target, ": is ", file.path(),
                      ", to which the new file would refer: choose another name"));
}

Error not_a_base(const Error& error) {
  if (error.code() != ErrorCode::kWrongKind) return error;
  return {error.code(), concat(error.message(),
                               ": a base is a weight file; weightmap adopt makes one of a "
                               "checkpoint and leaves its bytes where they are")};
}

// Whether the file under that name is the one that is described.
Result<bool> is_same(const io::Directory& directory, const format::DataFileContent& expected) {
  const Result<io::File> file = directory.open_file(expected.name);
  if (!file) return file.error();
  if (file->size_bytes() != expected.size_bytes) return false;
  const Result<Digest> found = identity_of(expected.kind, *file);
  if (!found) return found.error();
  return *found == expected.identity;
}

}  // namespace

Result<BaseFile> BaseFile::open(const std::string& path, const std::string& target) {
  Result<WeightFile> file = WeightFile::open(path, {.mapping = Mapping::kShared});
  if (!file) return not_a_base(file.error());
  for (const io::File& part : files_of(*file)) {
    const Result<void> other = check_is_other(part, target);
    if (!other) return other.error();
    const Result<void> beside = check_is_beside(part, target);
    if (!beside) return beside.error();
  }
  return BaseFile(std::move(*file));
}

std::vector<format::DataFileContent> BaseFile::data_files() const {
  std::vector<format::DataFileContent> files;
  for (const fb::DataFile* file : *state_of(file_).index.root->data_files()) {
    const bool is_base = files.empty();
    files.push_back(
        {.name = std::string(is_base ? name_in(file_.path()) : format::text_of(file->name())),
         .kind = is_base ? fb::DataFileKind::wmap : file->kind(),
         .size_bytes = file->size_bytes(),
         .identity = is_base ? file_.digest() : format::digest_from(*file->identity())});
  }
  return files;
}

Result<void> check_unchanged(const std::vector<format::DataFileContent>& files,
                             const std::string& target) {
  if (files.empty()) return {};
  const Result<io::Directory> directory = io::Directory::containing(target);
  if (!directory) return directory.error();
  for (const format::DataFileContent& file : files) {
    const Result<bool> same = is_same(*directory, file);
    if (same && *same) continue;
    return Error(ErrorCode::kIo, concat(target, ": data file ", quoted(file.name),
                                        " was changed or replaced while it was read: try again"));
  }
  return {};
}

}  // namespace weightmap::convert
