// SPDX-License-Identifier: Apache-2.0
#include "base/file_kind.h"

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "support/file_bytes.h"

namespace weightmap {
namespace {

FileKind kind_of(std::string_view bytes) {
  return detect_file_kind(tests::bytes_of(bytes));
}

// A member's name, then zeros up to the magic at 257, as POSIX has it.
std::string tar_header() {
  std::string header = "storages";
  header.resize(257, '\0');
  return header + "ustar  " + std::string(248, '\0');
}

struct Row {
  std::string_view name;
  std::string bytes;
  FileKind kind;
};

const Row kRows[] = {
    {"nothing", "", FileKind::kEmpty},
    {"a weight file", std::string("\x89WMAP\r\n\x1a\x01\x00", 10), FileKind::kWeightFile},
    {"a weight file copied in text mode", "\x89WMAP\n\x1a\x01", FileKind::kUnknown},
    {"a zip archive", "PK\x03\x04\x14", FileKind::kZip},
    {"an empty zip archive", std::string("PK\x05\x06", 4) + std::string(18, '\0'), FileKind::kZip},
    {"torch.save before 1.6",
     "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.",
     FileKind::kLegacyTorch},
    {"a tar archive", tar_header(), FileKind::kTar},
    {"a tar archive cut short", tar_header().substr(0, 260), FileKind::kUnknown},
    {"safetensors", std::string("\x40\0\0\0\0\0\0\0{\"a\":", 13), FileKind::kSafetensors},
    // Its length's first bytes are those of a pickle of protocol 2.
    {"safetensors of 640 bytes", std::string("\x80\x02\0\0\0\0\0\0{\"a\":", 13),
     FileKind::kSafetensors},
    // ... and of gzip.
    {"safetensors of 35,615 bytes", std::string("\x1f\x8b\0\0\0\0\0\0{\"a\":", 13),
     FileKind::kSafetensors},
    {"safetensors without a header", std::string("\x40\0\0\0\0\0\0\0", 8), FileKind::kUnknown},
    {"safetensors of an absurd length", std::string("\x40\0\0\0\0\0\0\x01{", 9),
     FileKind::kUnknown},
    {"GGUF", std::string("GGUF\x03\0\0\0", 8), FileKind::kGguf},
    {"HDF5", "\x89HDF\r\n\x1a\n", FileKind::kHdf5},
    {"gzip", std::string("\x1f\x8b\x08\0", 4), FileKind::kGzip},
    {"torch.save before 1.6 with protocol 4",
     std::string("\x80\x04\x95\x0d\0\0\0\0\0\0\0", 11) +
         "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.",
     FileKind::kLegacyTorch},
    {"ONNX",
     "\x08\x07\x12\x07pytorch\x1a\x06"
     "1.13.1",
     FileKind::kOnnx},
    {"ONNX by an unnamed maker", std::string("\x08\x07\x12\0\x1a", 5), FileKind::kUnknown},
    {"ONNX by a maker with a line break",
     "\x08\x07\x12\x02"
     "a\n\x1a",
     FileKind::kUnknown},
    {"a TensorFlow index", std::string("\0\0\x08\x08\x01\x1a\x02\x08\x01\0", 10),
     FileKind::kTensorFlow},
    {"another table", std::string("\0\0\x08\x08\x01\x1a\x02\x08\x02\0", 10), FileKind::kUnknown},
    {"a TensorFlow SavedModel", "\x08\x01\x12\x85\xb0\x03\x0a\x2f", FileKind::kSavedModel},
    {"a small one", "\x08\x01\x12\x09\x0a\x07", FileKind::kSavedModel},
    {"one of another schema", "\x08\x02\x12\x09\x0a\x07", FileKind::kUnknown},
    {"one that ends behind its length", "\x08\x01\x12\x85\x03", FileKind::kUnknown},
    {"one that ends in its length", "\x08\x01\x12\x85", FileKind::kUnknown},
    {"one of an endless length", "\x08\x01\x12\x85\x85\x85\x85\x85\x01\x0a", FileKind::kUnknown},
    {"HTML", "<!DOCTYPE html><html>", FileKind::kHtml},
    {"HTML with blanks and small letters", "\r\n  <!doctype HTML>", FileKind::kHtml},
    {"HTML without a doctype", "<HTML lang=en>", FileKind::kHtml},
    {"XML", "<?xml version='1.0'?>", FileKind::kUnknown},
    {"Git LFS",
     "version https://git-lfs.github.com/spec/v1\noid sha256:", FileKind::kGitLfsPointer},
    {"a pickle of protocol 2", "\x80\x02}q\x01.", FileKind::kBarePickle},
    {"a pickle of protocol 5", std::string("\x80\x05\x95\x0a\0\0\0\0\0\0\0}", 12),
     FileKind::kBarePickle},
    {"a pickle of a protocol to come", "\x80\x06}.", FileKind::kUnknown},
    {"an array of NumPy", "\x93NUMPY\x01", FileKind::kNumpy},
    {"zstd", "\x28\xb5\x2f\xfd\x04", FileKind::kZstd},
    {"safetensors with blanks first", std::string("\x40\0\0\0\0\0\0\0 \n{\"a\":", 15),
     FileKind::kSafetensors},
    {"a JSON object", "{\"weight_map\": {}}", FileKind::kJson},
    {"a JSON object after blanks", "\r\n\t {", FileKind::kJson},
    {"a JSON list", "[1, 2]", FileKind::kUnknown},
    {"text", "hello, world", FileKind::kUnknown},
    {"blanks", " \t\r\n", FileKind::kUnknown},
    {"zeros", std::string(512, '\0'), FileKind::kUnknown},
};

TEST_SUITE_BEGIN("base/file_kind");

TEST_CASE("a file is known by its first bytes") {
  for (const Row& row : kRows) {
    CAPTURE(row.name);
    CHECK(kind_of(row.bytes) == row.kind);
    CHECK(row.bytes.size() <= kFileKindBytes);
  }
}

TEST_CASE("real files are known") {
  const std::string data = WEIGHTMAP_TEST_DATA;
  const auto kind_of_file = [&](const std::string& name) {
    return kind_of(tests::read_file(data + "/" + name).substr(0, kFileKindBytes));
  };
  CHECK(kind_of_file("checkpoints/torch-1.13/state_dict.pt") == FileKind::kZip);
  CHECK(kind_of_file("checkpoints/torch-2.13/state_dict.pt") == FileKind::kZip);
  for (const char* name : {"legacy_1_13", "legacy_2_13", "legacy_protocol4", "legacy_python2"}) {
    CHECK(kind_of_file("checkpoints/containers/" + std::string(name) + ".pt") ==
          FileKind::kLegacyTorch);
  }
  CHECK(kind_of_file("checkpoints/torch-2.13/state_dict.json") == FileKind::kJson);
}

TEST_CASE("the start of a file, however short, is looked at within its bounds") {
  for (const Row& row : kRows) {
    CAPTURE(row.name);
    for (std::size_t size = 0; size < row.bytes.size(); ++size) {
      // A copy of exactly that size, so that a sanitizer sees a step beyond it.
      const std::vector<char> start(row.bytes.begin(), row.bytes.begin() + std::ptrdiff_t(size));
      const FileKind kind = kind_of({start.data(), start.size()});
      CHECK((kind == FileKind::kEmpty) == (size == 0));
    }
  }
}

TEST_CASE("every kind is told in its own words") {
  std::set<std::string_view> texts;
  for (int i = 0; i <= static_cast<int>(FileKind::kJson); ++i) {
    const std::string_view text = file_kind_text(static_cast<FileKind>(i));
    CHECK_FALSE(text.empty());
    texts.insert(text);
  }
  CHECK(texts.size() == static_cast<std::size_t>(FileKind::kJson) + 1);
  CHECK(file_kind_text(FileKind::kHtml).find("HTML") != std::string_view::npos);
  CHECK(file_kind_text(FileKind::kZip).find("zip") != std::string_view::npos);
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
