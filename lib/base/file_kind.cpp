// SPDX-License-Identifier: Apache-2.0
#include "base/file_kind.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>

#include "base/little_endian.h"

namespace weightmap {
namespace {

using namespace std::string_view_literals;

struct Magic {
  std::string_view bytes;
  std::size_t offset;
  FileKind kind;
};

constexpr std::array kMagics{
    Magic{"\x89WMAP\r\n\x1a"sv, 0, FileKind::kWeightFile},
    Magic{"PK\x03\x04"sv, 0, FileKind::kZip},
    Magic{"PK\x05\x06"sv, 0, FileKind::kZip},
    Magic{"ustar"sv, 257, FileKind::kTar},
    Magic{"GGUF"sv, 0, FileKind::kGguf},
    Magic{"\x89HDF\r\n\x1a\n"sv, 0, FileKind::kHdf5},
    Magic{"\x93NUMPY"sv, 0, FileKind::kNumpy},
    Magic{"\x1f\x8b\x08"sv, 0, FileKind::kGzip},
    Magic{"\x28\xb5\x2f\xfd"sv, 0, FileKind::kZstd},
    Magic{"version https://git-lfs"sv, 0, FileKind::kGitLfsPointer},
};

bool has_magic(std::string_view text, const Magic& magic) {
  return text.size() >= magic.offset && text.substr(magic.offset).starts_with(magic.bytes);
}

// Eight bytes of header length, then the JSON object itself.
bool looks_like_safetensors(std::string_view text) {
  if (text.size() <= 8 || text[6] != 0 || text[7] != 0) return false;
  const auto start = text.find_first_not_of(" \t\r\n", 8);
  return start != std::string_view::npos && text[start] == '{';
}

bool looks_like_html(std::string_view text) {
  const auto start = text.find_first_not_of(" \t\r\n");
  if (start == std::string_view::npos) return false;
  std::string head(text.substr(start, 15));
  std::ranges::transform(head, head.begin(), [](unsigned char c) { return std::tolower(c); });
  return head.starts_with("<!doctype html") || head.starts_with("<html");
}

bool looks_like_pickle(std::string_view text) {
  return text.size() > 2 && text[0] == '\x80' && text[1] >= 2 && text[1] <= 5;
}

// A ModelProto (onnx.proto): the version of the format, then who made it, then that one's version.
bool looks_like_onnx(std::string_view text) {
  constexpr std::size_t kMostNameBytes = 64;
  if (text.size() < 4 || text[0] != '\x08' || text[1] < 1 || text[1] > 32 || text[2] != '\x12') {
    return false;
  }
  const auto size = static_cast<unsigned char>(text[3]);
  if (size == 0 || size > kMostNameBytes || text.size() <= 4U + size) return false;
  const auto is_plain = [](char c) { return c >= ' ' && c <= '~'; };
  return std::ranges::all_of(text.substr(4, size), is_plain) && text[4U + size] == '\x1a';
}

// A table whose first key is empty and has a BundleHeaderProto (tensor_bundle.proto): the number of
// shards, then the version {producer: 1}.
bool looks_like_tensorflow_index(std::string_view text) {
  return text.size() > 9 && text.starts_with("\0\0"sv) && text[3] == '\x08' &&
         text.substr(5, 4) == "\x1a\x02\x08\x01"sv;
}

// A SavedModel (saved_model.proto): schema version 1, then a MetaGraphDef, which begins with its
// MetaInfoDef. The length in between has at most five bytes.
bool looks_like_saved_model(std::string_view text) {
  if (!text.starts_with("\x08\x01\x12"sv)) return false;
  const std::string_view length = text.substr(3, 5);
  const auto last = std::ranges::find_if(length, [](char c) { return (c & 0x80) == 0; });
  const auto next = 4 + static_cast<std::size_t>(last - length.begin());
  return last != length.end() && text.size() > next && text[next] == '\x0a';
}

// A pickle of the magic number, behind PROTO and from protocol 4 on behind FRAME, too.
bool looks_like_legacy_torch(std::string_view text) {
  constexpr auto kMagicNumber = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e"sv;
  if (!looks_like_pickle(text)) return false;
  const std::size_t at = text[2] == '\x95' ? 11 : 2;
  return text.size() > at && text.substr(at).starts_with(kMagicNumber);
}

bool looks_like_json(std::string_view text) {
  const auto start = text.find_first_not_of(" \t\r\n");
  return start != std::string_view::npos && text[start] == '{';
}

}  // namespace

FileKind detect_file_kind(std::span<const std::byte> first_bytes) {
  const std::string_view text(reinterpret_cast<const char*>(first_bytes.data()),
                              first_bytes.size());
  if (text.empty()) return FileKind::kEmpty;
  const auto found =
      std::ranges::find_if(kMagics, [&](const Magic& magic) { return has_magic(text, magic); });
  if (found != kMagics.end()) return found->kind;
  if (looks_like_html(text)) return FileKind::kHtml;
  if (looks_like_onnx(text)) return FileKind::kOnnx;
  if (looks_like_tensorflow_index(text)) return FileKind::kTensorFlow;
  if (looks_like_saved_model(text)) return FileKind::kSavedModel;
  if (looks_like_safetensors(text)) return FileKind::kSafetensors;
  if (looks_like_legacy_torch(text)) return FileKind::kLegacyTorch;
  if (looks_like_pickle(text)) return FileKind::kBarePickle;
  if (looks_like_json(text)) return FileKind::kJson;
  return FileKind::kUnknown;
}

std::string_view file_kind_text(FileKind kind) {
  switch (kind) {
    case FileKind::kEmpty: return "an empty file";
    case FileKind::kUnknown: return "of a kind that is not known";
    case FileKind::kWeightFile: return "a weight file";
    case FileKind::kZip: return "a zip archive, as torch.save writes it";
    case FileKind::kLegacyTorch: return "a PyTorch checkpoint in the format from before 1.6";
    case FileKind::kTar: return "a tar archive";
    case FileKind::kSafetensors: return "a safetensors file";
    case FileKind::kGguf: return "a GGUF file";
    case FileKind::kHdf5: return "an HDF5 file";
    case FileKind::kOnnx: return "an ONNX model";
    case FileKind::kTensorFlow: return "the index of a TensorFlow checkpoint";
    case FileKind::kSavedModel: return "a TensorFlow SavedModel";
    case FileKind::kNumpy: return "a NumPy array";
    case FileKind::kGzip: return "a gzip archive";
    case FileKind::kZstd: return "a zstd archive";
    case FileKind::kHtml: return "an HTML page, most likely a download that went wrong";
    case FileKind::kGitLfsPointer: return "a Git LFS pointer, not the file it stands for";
    case FileKind::kBarePickle: return "a bare pickle";
    case FileKind::kJson: return "a JSON text";
  }
  return "of a kind that is not known";
}

}  // namespace weightmap
