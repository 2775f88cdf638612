// SPDX-License-Identifier: Apache-2.0
// What is not a checkpoint is named for what it is.
#include <string>
#include <sys/stat.h>

#include <doctest/doctest.h>

#include "opened.h"

namespace weightmap::tests {
namespace {

using namespace std::string_literals;

struct Row {
  std::string name;
  std::string bytes;
  ErrorCode code;
  std::string text;
};

std::string zip_of(const std::vector<std::string>& names) {
  std::vector<ZipEntry> entries;
  for (const std::string& name : names)
    entries.push_back({.name = name, .data = "x"});
  return write_zip(entries);
}

const Row kRows[] = {
    {"an empty file", "", ErrorCode::kWrongKind, "is an empty file"},
    {"rubbish", "rubbish", ErrorCode::kWrongKind, "is of a kind that is not known"},
    {"a weight file", "\x89WMAP\r\n\x1a" + std::string(120, '\0'), ErrorCode::kWrongKind,
     "is a weight file already"},
    {"GGUF", "GGUF\3\0\0\0"s, ErrorCode::kWrongKind, "is a GGUF file: take the checkpoint"},
    {"ONNX",
     "\x08\x08\x12\7pytorch\x1a\5"
     "2.1.0",
     ErrorCode::kWrongKind, "is an ONNX model: take the checkpoint that it was exported from"},
    {"TensorFlow", "\0\0\x08\x08\1\x1a\2\x08\1\0\1"s, ErrorCode::kWrongKind,
     "is the index of a TensorFlow checkpoint: read it with tf.train.load_checkpoint"},
    {"a SavedModel", "\x08\1\x12\x85\xb0\3\n\x2f", ErrorCode::kWrongKind,
     "is a TensorFlow SavedModel: read it with tf.saved_model.load and torch.save its variables"},
    {"HDF5", "\x89HDF\r\n\x1a\n", ErrorCode::kWrongKind, "is an HDF5 file: read it with h5py"},
    {"gzip", "\x1f\x8b\x08\0\0"s, ErrorCode::kWrongKind, "is a gzip archive: unpack it"},
    {"a web page", "\n<!DOCTYPE html><html>404", ErrorCode::kWrongKind, "is an HTML page"},
    {"a Git LFS pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
     ErrorCode::kWrongKind, "is a Git LFS pointer, not the file it stands for: run `git lfs pull`"},
    {"zstd", "\x28\xb5\x2f\xfd\4", ErrorCode::kWrongKind,
     "is a zstd archive: unpack it with unzstd"},
    {"a bare pickle", pickle::whole("N"), ErrorCode::kWrongKind,
     "is a bare pickle: load it in Python, where you trust it, and torch.save what it holds"},
    {"numpy's npy", "\x93NUMPY\1", ErrorCode::kWrongKind,
     "is a NumPy array: read it with numpy.load and torch.save it as a tensor"},
    {"an empty zip archive", write_zip({}, {.zip64_end = false}), ErrorCode::kWrongKind,
     "is an empty zip archive"},
    {"numpy's npz", zip_of({"weight.npy", "bias.npy"}), ErrorCode::kWrongKind,
     "is a NumPy archive (.npz): read it with numpy.load and torch.save its arrays as tensors"},
    {"numpy's npz with slashes", zip_of({"net/weight.npy"}), ErrorCode::kWrongKind,
     "is a NumPy archive (.npz)"},
    {"a file beside numpy's", zip_of({"weight.npy", "readme"}), ErrorCode::kWrongKind,
     "is a zip archive, but no checkpoint: record `weight.npy` lies in no directory"},
    {"any other zip", zip_of({"word/document.xml"}), ErrorCode::kWrongKind,
     "is a zip archive, but no checkpoint: there is no record `word/data.pkl`"},
    {"torch.package", zip_of({"p/.data/version", "p/.data/extern_modules", "p/m/model.pkl"}),
     ErrorCode::kWrongKind, "is a torch.package: load the model with torch.package"},
    {"an exported program", zip_of({"e/archive_format", "e/models/model.json", "e/data/weights/0"}),
     ErrorCode::kWrongKind, "is an exported program (.pt2): load it with torch.export.load"},
    {"TorchScript before 1.2", zip_of({"m/model.json", "m/tensors/0"}), ErrorCode::kUnsupported,
     "is a TorchScript archive from before 1.2"},
    {"a zip archive cut short", zip_of({"a/data.pkl"}).substr(0, 50), ErrorCode::kCorrupt,
     "the file is cut short: there is no zip directory at its end, it has 50 bytes: download or "
     "copy it again"},
    {"the first four bytes of a zip archive", "PK\3\4", ErrorCode::kCorrupt,
     "the file is cut short"},
};

TEST_SUITE("checkpoint/kinds") {
  TEST_CASE("a file of another kind is named, with what to do where that is certain") {
    for (const Row& row : kRows) {
      CAPTURE(row.name);
      const auto found = open_bytes(row.bytes);
      REQUIRE_FALSE(found);
      CAPTURE(found.error().message());
      CHECK(found.error().code() == row.code);
      CHECK(contains(found.error().message(), "/model.pt: " + row.text));
    }
  }

  TEST_CASE("what is no file is told as the system tells it") {
    const TempDir directory;
    const auto missing = checkpoint::open_checkpoint(directory / "missing.pt", {});
    REQUIRE_FALSE(missing);
    CHECK(missing.error().code() == ErrorCode::kNotFound);
    CHECK(contains(missing.error().message(), "missing.pt: "));
    const auto folder = checkpoint::open_checkpoint(directory.path(), {});
    REQUIRE_FALSE(folder);
    CHECK(folder.error().code() == ErrorCode::kInvalidArgument);
    CHECK(contains(folder.error().message(), "is a directory"));
    REQUIRE(::mkfifo((directory / "fifo").c_str(), 0600) == 0);
    CHECK_FALSE(checkpoint::open_checkpoint(directory / "fifo", {}));
  }

  TEST_CASE("a directory that another framework made is named") {
    struct Directory {
      std::vector<std::string> files;
      std::string text;
    };
    const Directory rows[] = {
        {{"saved_model.pb", "fingerprint.pb"},
         ": is a TensorFlow SavedModel: read it with tf.saved_model.load"},
        {{"checkpoint", "ckpt-1.index", "ckpt-1.data-00000-of-00001"},
         ": holds a TensorFlow checkpoint: read it with tf.train.load_checkpoint"},
        {{"checkpoint"}, ": is a directory without an index of shards or a checkpoint"},
    };
    for (const Directory& row : rows) {
      CAPTURE(row.text);
      const TempDir directory;
      for (const std::string& name : row.files)
        write_file(directory / name, "x");
      const auto found = checkpoint::open_checkpoint(directory.path(), {});
      REQUIRE_FALSE(found);
      CHECK(contains(found.error().message(), directory.path() + row.text));
    }
  }

  TEST_CASE("the name of a file says nothing about its kind") {
    const TempDir directory;
    write_file(directory / "model.txt", checkpoint_file(pickle::whole("N")));
    CHECK(checkpoint::open_checkpoint(directory / "model.txt", {}));
  }
}

}  // namespace
}  // namespace weightmap::tests
