// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/checkpoint.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file_kind.h"
#include "base/path_text.h"
#include "base/text.h"
#include "checkpoint/distributed.h"
#include "checkpoint/legacy_stream.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/shard_index.h"
#include "checkpoint/source_file.h"
#include "checkpoint/torch_tar.h"
#include "checkpoint/torch_zip.h"
#include "io/directory.h"

namespace weightmap::checkpoint {
namespace {

// A kind of file that can be read: a line here and a pair of files.
struct Source {
  FileKind kind;
  Result<Checkpoint> (*read)(io::File file, const ReadOptions& options);
};

constexpr auto kSources = std::to_array<Source>({
    {FileKind::kZip, &read_torch_zip},
    {FileKind::kLegacyTorch, &read_legacy_stream},
    {FileKind::kSafetensors, &read_safetensors},
    {FileKind::kTar, &read_torch_tar},
});

// What else is given instead of a checkpoint, and what to do where that is certain.
struct Other {
  FileKind kind;
  std::string_view advice;
};

constexpr auto kOthers = std::to_array<Other>({
    {FileKind::kWeightFile, " already"},
    {FileKind::kGitLfsPointer, ": run `git lfs pull`"},
    {FileKind::kGzip, ": unpack it with gunzip"},
    {FileKind::kZstd, ": unpack it with unzstd"},
    {FileKind::kBarePickle,
     ": load it in Python, where you trust it, and torch.save what it holds"},
    {FileKind::kNumpy, ": read it with numpy.load and torch.save it as a tensor"},
    {FileKind::kGguf, ": take the checkpoint that it was made from"},
    {FileKind::kOnnx, ": take the checkpoint that it was exported from"},
    {FileKind::kHdf5, ": read it with h5py and torch.save its arrays as tensors"},
    {FileKind::kTensorFlow,
     ": read it with tf.train.load_checkpoint and torch.save its variables as tensors"},
    {FileKind::kSavedModel,
     ": read it with tf.saved_model.load and torch.save its variables as tensors"},
});

bool is_checkpoint_name(std::string_view name) {
  constexpr std::array<std::string_view, 5> kEndings{".safetensors", ".bin", ".pt", ".pth",
                                                     ".ckpt"};
  return std::ranges::any_of(kEndings, [&](auto ending) { return name.ends_with(ending); });
}

std::string_view advice_for(FileKind kind) {
  const auto* other = std::ranges::find(kOthers, kind, &Other::kind);
  return other != kOthers.end() ? other->advice : "";
}

Error not_a_checkpoint(const std::string& path, FileKind kind) {
  return {ErrorCode::kWrongKind, concat(path, ": is ", file_kind_text(kind), advice_for(kind))};
}

bool has_tensorflow_checkpoint(const std::vector<std::string>& names) {
  return std::ranges::count(names, "checkpoint") > 0 &&
         std::ranges::any_of(names,
                             [](const std::string& name) { return name.ends_with(".index"); });
}

// What is in a directory, and what to give instead when that is certain.
Error no_checkpoint_in(const std::string& path, const std::vector<std::string>& names) {
  if (std::ranges::count(names, "saved_model.pb") > 0)
    return not_a_checkpoint(path, FileKind::kSavedModel);
  if (has_tensorflow_checkpoint(names)) {
    return {ErrorCode::kWrongKind,
            concat(path, ": holds a TensorFlow checkpoint", advice_for(FileKind::kTensorFlow))};
  }
  std::vector<std::string_view> files;
  for (const std::string& name : names) {
    if (is_checkpoint_name(name)) files.emplace_back(name);
  }
  const std::string_view what = "is a directory without an index of shards";
  if (files.empty()) {
    return {ErrorCode::kInvalidArgument, concat(path, ": ", what, " or a checkpoint")};
  }
  if (files.size() == 1) {
    return {ErrorCode::kInvalidArgument,
            concat(path, ": ", what, ": give the file ", quoted(files[0]), " that is in it")};
  }
  return {ErrorCode::kInvalidArgument,
          concat(path, ": ", what, " but with ", files.size(), " checkpoints, among them ",
                 quoted(files[0]), ": give one of them")};
}

Result<Checkpoint> open_directory(const io::Directory& directory, const ReadOptions& options) {
  auto metadata = directory.open_file(kDistributedMetadataName);
  if (metadata) return read_distributed(*std::move(metadata), directory, options);
  if (metadata.error().code() != ErrorCode::kNotFound) return metadata.error();
  auto names = directory.names();
  if (!names) return names.error();
  std::vector<std::string_view> indices;
  for (const std::string& name : *names) {
    if (is_shard_index_name(name)) indices.emplace_back(name);
  }
  if (indices.empty()) return no_checkpoint_in(directory.path(), *names);
  if (indices.size() > 1) {
    return Error(ErrorCode::kInvalidArgument,
                 concat(directory.path(), ": holds ", indices.size(), " indices of shards, ",
                        quoted(indices[0]), " and ", quoted(indices[1]), ": give one of them"));
  }
  auto index = directory.open_file(indices[0]);
  if (!index) return index.error();
  return read_shard_index(*std::move(index), directory, options);
}

Result<Checkpoint> open_file(io::File file, const ReadOptions& options) {
  const auto kind = sniff(file);
  if (!kind) return kind.error();
  const std::string_view name = name_in(file.path());
  const bool is_distributed = *kind == FileKind::kBarePickle && name == kDistributedMetadataName;
  if (*kind != FileKind::kJson && !is_distributed) {
    return read_source_file(std::move(file), options);
  }
  const auto directory = io::Directory::containing(file.path());
  if (!directory) return directory.error();
  return is_distributed ? read_distributed(std::move(file), *directory, options)
                        : read_shard_index(std::move(file), *directory, options);
}

}  // namespace

Result<FileKind> sniff(const io::File& file) {
  std::array<std::byte, kFileKindBytes> head{};
  const auto size = std::min<std::uint64_t>(file.size_bytes(), head.size());
  const auto first = std::span(head).first(static_cast<std::size_t>(size));
  if (auto read = file.read_at(0, first); !read) return read.error();
  return detect_file_kind(first);
}

Result<Checkpoint> read_source_file(io::File file, const ReadOptions& options) {
  const auto kind = sniff(file);
  if (!kind) return kind.error();
  const auto* source = std::ranges::find(kSources, *kind, &Source::kind);
  if (source == kSources.end()) return not_a_checkpoint(file.path(), *kind);
  return source->read(std::move(file), options);
}

Result<Checkpoint> open_checkpoint(const std::string& path, const ReadOptions& options) {
  auto file = io::File::open(path);
  if (file) return open_file(*std::move(file), options);
  if (file.error().code() != ErrorCode::kInvalidArgument) return file.error();
  const auto directory = io::Directory::open(path);
  return directory ? open_directory(*directory, options) : file.error();
}

}  // namespace weightmap::checkpoint
