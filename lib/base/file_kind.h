// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace weightmap {

// What a file is, judged by its first bytes.
enum class FileKind : std::uint8_t {
  kEmpty,
  kUnknown,
  kWeightFile,
  kZip,
  kLegacyTorch,
  kTar,
  kSafetensors,
  kGguf,
  kHdf5,
  kOnnx,
  kTensorFlow,  // the index of a checkpoint
  kSavedModel,  // TensorFlow's, its saved_model.pb
  kNumpy,       // one array
  kGzip,
  kZstd,
  kHtml,
  kGitLfsPointer,
  kBarePickle,
  kJson,  // an object
};

// How many first bytes detect_file_kind wants to see; fewer if the file is shorter.
inline constexpr std::size_t kFileKindBytes = 512;

FileKind detect_file_kind(std::span<const std::byte> first_bytes);

// For messages: "a zip archive", "an HTML page (a download that went wrong)".
std::string_view file_kind_text(FileKind kind);

}  // namespace weightmap
