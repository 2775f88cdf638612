// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/checkpoint.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "base/file_kind.h"
#include "base/text.h"
#include "checkpoint/legacy_stream.h"
#include "checkpoint/torch_tar.h"
#include "checkpoint/torch_zip.h"

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
    {FileKind::kTar, &read_torch_tar},
});

// What else is given instead of a checkpoint, and what to do where that is certain.
struct Other {
  FileKind kind;
  ErrorCode code;
  std::string_view advice;
};

constexpr auto kOthers = std::to_array<Other>({
    {FileKind::kSafetensors, ErrorCode::kUnsupported,
     ": load it with safetensors.torch.load_file and save it with torch.save"},
    {FileKind::kWeightFile, ErrorCode::kWrongKind, " already"},
    {FileKind::kGitLfsPointer, ErrorCode::kWrongKind, ": run `git lfs pull`"},
    {FileKind::kGzip, ErrorCode::kWrongKind, ": unpack it with gunzip"},
    {FileKind::kGguf, ErrorCode::kWrongKind, ": take the checkpoint that it was made from"},
    {FileKind::kOnnx, ErrorCode::kWrongKind, ": take the checkpoint that it was exported from"},
    {FileKind::kHdf5, ErrorCode::kWrongKind,
     ": read it with h5py and torch.save its arrays as tensors"},
    {FileKind::kTensorFlow, ErrorCode::kWrongKind,
     ": read it with tf.train.load_checkpoint and torch.save its variables as tensors"},
});

Error not_a_checkpoint(const std::string& path, FileKind kind) {
  const auto* other = std::ranges::find(kOthers, kind, &Other::kind);
  const bool is_known = other != kOthers.end();
  return {is_known ? other->code : ErrorCode::kWrongKind,
          concat(path, ": is ", file_kind_text(kind), is_known ? other->advice : "")};
}

Result<FileKind> sniff(const io::File& file) {
  std::array<std::byte, kFileKindBytes> head{};
  const auto size = std::min<std::uint64_t>(file.size_bytes(), head.size());
  const auto first = std::span(head).first(static_cast<std::size_t>(size));
  if (auto read = file.read_at(0, first); !read) return read.error();
  return detect_file_kind(first);
}

}  // namespace

Result<Checkpoint> open_checkpoint(const std::string& path, const ReadOptions& options) {
  auto file = io::File::open(path);
  if (!file) return file.error();
  const auto kind = sniff(*file);
  if (!kind) return kind.error();
  const auto* source = std::ranges::find(kSources, *kind, &Source::kind);
  if (source == kSources.end()) return not_a_checkpoint(path, *kind);
  return source->read(*std::move(file), options);
}

}  // namespace weightmap::checkpoint
