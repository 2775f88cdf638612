// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <sys/stat.h>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "opened.h"
#include "recorded.h"
#include "show.h"
#include "support/checkpoint_check.h"
#include "support/distributed_writer.h"

namespace weightmap::tests {
namespace {

TEST_SUITE_BEGIN("checkpoint/distributed");

using pickle::integer;
using pickle::text;
using pickle::tuple;

const std::string kFile = "__0_0.distcp";

// Items of one .distcp file, and what the metadata say about them.
class Writer {
 public:
  dcp::Metadata metadata;
  std::string data;

  void add_value(const std::string& name, const std::string& saved) {
    metadata.entries.insert(metadata.entries.end(), {text(name), dcp::bytes()});
    add_item(name, std::nullopt, saved);
  }
  // Each chunk's elements count up from 100 times its number.
  void add_tensor(const std::string& name,
                  const std::vector<std::int64_t>& shape,
                  const std::vector<DcpChunkText>& chunks) {
    metadata.entries.insert(metadata.entries.end(), {text(name), dcp::tensor(shape, chunks)});
    for (std::size_t i = 0; i < chunks.size(); ++i) {
      add_item(
          name, chunks[i].offsets,
          saved_tensor(chunks[i].sizes, static_cast<float>(100 * i), row_major(chunks[i].sizes)));
    }
  }
  void add_item(const std::string& name,
                const std::optional<std::vector<std::int64_t>>& offsets,
                const std::string& saved) {
    metadata.storage.push_back(dcp::index(name, offsets));
    metadata.storage.push_back(dcp::info(kFile, data.size(), saved.size()));
    data += saved;
  }

  Result<checkpoint::Checkpoint> open(const checkpoint::ReadOptions& options = {}) const {
    return open_pickle(dcp::whole(metadata), options);
  }
  Result<checkpoint::Checkpoint> open_pickle(const std::string& bytes,
                                             const checkpoint::ReadOptions& options = {}) const {
    const TempDir directory;
    write_file(directory / ".metadata", bytes);
    write_file(directory / kFile, data);
    return checkpoint::open_checkpoint(directory.path(), options);
  }

  static std::vector<std::int64_t> row_major(const std::vector<std::int64_t>& sizes) {
    std::vector<std::int64_t> strides(sizes.size(), 1);
    for (std::size_t i = sizes.size(); i-- > 1;)
      strides[i - 1] = strides[i] * sizes[i];
    return strides;
  }
};

std::vector<float> floats_of(const checkpoint::Checkpoint& found, std::size_t tensor) {
  const std::string bytes = elements_of(found, found.tensors.at(tensor));
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

std::string path(const std::vector<std::string>& steps) {
  return tuple(steps);
}

TEST_CASE("what torch.distributed.checkpoint wrote is read as it loads it") {
  const std::pair<std::string, std::string> rows[] = {
      {"distributed", "distributed checkpoint, 1 file"},
      {"distributed_chunks", "distributed checkpoint, 2 files"},
  };
  for (const auto& [name, kind] : rows) {
    for (const std::string& path : {source_path(name), source_path(name + "/.metadata")}) {
      CAPTURE(path);
      const auto found = checkpoint::open_checkpoint(path, {});
      REQUIRE_MESSAGE(found, message_of(found));
      CHECK(found->kind == kind);
      check_recorded(*found, recorded(name));
    }
  }
}

TEST_CASE("a tensor in one piece is a plain range, with its strides") {
  const auto found = checkpoint::open_checkpoint(source_path("distributed"), {});
  REQUIRE(found);
  for (const checkpoint::Storage& storage : found->storages)
    CHECK(storage.is_plain());
  const auto& transposed = found->tensors.back();
  CHECK(std::ranges::equal(found->strides(transposed), std::vector<std::int64_t>{1, 3}));
  const auto chunks = checkpoint::open_checkpoint(source_path("distributed_chunks"), {});
  REQUIRE(chunks);
  CHECK(chunks->chunked.size() == 3);
}

TEST_CASE("chunks are put together, however they tile the tensor") {
  Writer writer;
  // A pinwheel: no cut through the whole separates its boxes.
  writer.add_tensor(
      "w", {3, 3},
      {{{0, 0}, {1, 2}}, {{0, 2}, {2, 1}}, {{2, 1}, {1, 2}}, {{1, 0}, {2, 1}}, {{1, 1}, {1, 1}}});
  writer.add_tensor("line", {5}, {{{3}, {2}}, {{0}, {3}}});
  const auto found = writer.open();
  REQUIRE_MESSAGE(found, message_of(found));
  CHECK(broken_promise(*found) == "");
  CHECK(show(found->values) == "{'w': tensor0, 'line': tensor1}");
  CHECK(floats_of(*found, 0) == std::vector<float>{0, 1, 100, 300, 400, 101, 301, 200, 201});
  CHECK(floats_of(*found, 1) == std::vector<float>{100, 101, 102, 0, 1});
}

TEST_CASE("a chunk may have strides of its own") {
  Writer writer;
  writer.metadata.entries = {text("w"), dcp::tensor({2, 4}, {{{0, 0}, {2, 2}}, {{0, 2}, {2, 2}}})};
  writer.add_item("w", {{0, 0}}, saved_tensor({2, 2}, 0, {1, 2}));
  writer.add_item("w", {{0, 2}}, saved_tensor({2, 2}, 10, {2, 1}));
  const auto found = writer.open();
  REQUIRE_MESSAGE(found, message_of(found));
  CHECK(floats_of(*found, 0) == std::vector<float>{0, 2, 10, 11, 1, 3, 12, 13});
}

TEST_CASE("empty chunks and empty tensors take nothing") {
  Writer writer;
  writer.metadata.entries = {text("w"), dcp::tensor({2}, {{{0}, {2}}, {{2}, {0}}}), text("none"),
                             dcp::tensor({0, 3}, {})};
  writer.add_item("w", {{0}}, saved_tensor({2}, 7, {1}));
  const auto found = writer.open();
  REQUIRE_MESSAGE(found, message_of(found));
  CHECK(floats_of(*found, 0) == std::vector<float>{7, 8});
  CHECK(found->tensors[1].storage == checkpoint::kNoStorage);
}

TEST_CASE("values stand where the planner says if that spells their name") {
  Writer writer;
  const std::string saved = checkpoint_file(pickle::whole(integer(5)));
  for (const char* name : {"a.0.b", "a.2", "c.d", "e", "f.g"})
    writer.add_value(name, saved);
  writer.metadata.paths = {
      text("a.0.b"), path({text("a"), integer(0), text("b")}),
      text("a.2"),   path({text("a"), integer(2)}),
      text("c.d"),   path({text("c.d")}),
      text("f.g"),   path({text("x"), text("y")}),
      text("other"), path({text("other")}),
  };
  const auto found = writer.open();
  REQUIRE_MESSAGE(found, message_of(found));
  CHECK(show(found->values) == "{'a': [{'b': 5}, None, 5], 'c.d': 5, 'e': 5, 'f.g': 5}");
}

TEST_CASE("the enum that some Pythons pickle by getattr is taken, an attack is not") {
  Writer writer;
  writer.add_tensor("w", {1}, {{{0}, {1}}});
  const auto with = [&](const std::string& extra) {
    std::string bytes = dcp::whole(writer.metadata);
    return writer.open_pickle(bytes.insert(2, extra + "0"), {.strict_globals = true});
  };
  CHECK(with(pickle::global("builtins", "getattr")));
  CHECK(with(pickle::global("__builtin__", "getattr")));
  const auto attack = with(pickle::global("os", "system"));
  REQUIRE_FALSE(attack);
  CHECK(attack.error().code() == ErrorCode::kUnsafe);
  Writer values;
  values.add_value("v", checkpoint_file(pickle::whole(pickle::global("builtins", "eval"))));
  const auto inside = values.open();
  REQUIRE_FALSE(inside);
  CHECK(inside.error().code() == ErrorCode::kUnsafe);
  CHECK(contains(inside.error().message(), "/__0_0.distcp: bytes 0 to "));
}

TEST_CASE("asked for the classes that its pickles name, it lists those of all parts") {
  checkpoint::GlobalList list;
  const auto found = checkpoint::open_checkpoint(source_path("distributed"), {.globals = &list});
  REQUIRE_MESSAGE(found, message_of(found));
  CHECK(list.contains("torch.distributed.checkpoint.metadata.Metadata"));
  CHECK(list.contains("torch._utils._rebuild_tensor_v2"));
  Writer values;
  values.add_value("v", checkpoint_file(pickle::whole(pickle::global("builtins", "eval"))));
  CHECK(values.open({.globals = &list}));
  REQUIRE(list.contains("builtins.eval"));
  CHECK(list.at("builtins.eval") == checkpoint::GlobalTrust::kAttack);
}

// What is done to a good checkpoint (a tensor `w` of two chunks, a value `v`), and what is said
// then.
struct Row {
  std::string name;
  std::function<void(Writer&)> edit;
  std::string text;  // after the directory
  ErrorCode code = ErrorCode::kCorrupt;
  std::string rest = "";  // further on in the message
};

Writer good() {
  Writer writer;
  writer.add_tensor("w", {4, 2}, {{{0, 0}, {2, 2}}, {{2, 0}, {2, 2}}});
  writer.add_value("v", checkpoint_file(pickle::whole(integer(3))));
  return writer;
}

void set_tensor(Writer& writer,
                const std::vector<std::int64_t>& shape,
                const std::vector<DcpChunkText>& chunks) {
  writer.metadata.entries[1] = dcp::tensor(shape, chunks);
}

std::vector<Row> tiling_rows() {
  return {
      {"a hole",
       [](Writer& w) {
         set_tensor(w, {5, 2}, {{{0, 0}, {2, 2}}, {{2, 0}, {2, 2}}});
       },
       ".metadata: `w`: of [5, 2] has no chunk for 2 of its elements"},
      {"a chunk too many",
       [](Writer& w) {
         set_tensor(w, {3, 2}, {{{0, 0}, {2, 2}}, {{2, 0}, {2, 2}}});
       },
       ".metadata: `w`: of [3, 2] has a chunk of [2, 2] at [2, 0], which does not lie inside"},
      {"an overlap that leaves a hole",
       [](Writer& w) {
         set_tensor(w, {4, 3},
                    {{{0, 0}, {3, 2}}, {{2, 1}, {2, 2}}, {{3, 0}, {1, 1}}, {{0, 2}, {1, 1}}});
         w.metadata.storage[2] = dcp::index("w", {{2, 1}});
         for (const auto& at : {std::vector<std::int64_t>{3, 0}, {0, 2}})
           w.add_item("w", at, saved_tensor({1, 1}, 0, {1, 1}));
       },
       ".metadata: `w`: has chunks that overlap, at [0, 0] and at [2, 1]"},
      {"more elements than the whole has",
       [](Writer& w) {
         set_tensor(w, {4, 2}, {{{0, 0}, {4, 2}}, {{2, 0}, {2, 2}}});
       },
       ".metadata: `w`: has chunks that overlap"},
      {"one chunk twice",
       [](Writer& w) {
         set_tensor(w, {4, 2}, {{{0, 0}, {2, 2}}, {{0, 0}, {2, 2}}});
       },
       ".metadata: `w`: has two chunks at [0, 0]"},
      {"a chunk without data",
       [](Writer& w) {
         set_tensor(w, {4, 2}, {{{0, 0}, {2, 2}}, {{2, 1}, {2, 2}}});
       },
       ".metadata: `w`: has no storage_data for its chunk at [2, 1]"},
      {"no chunk",
       [](Writer& w) {
         set_tensor(w, {4, 2}, {});
       },
       ".metadata: `w`: of [4, 2] has no chunk for 8 of its elements"},
      {"a chunk of another rank",
       [](Writer& w) {
         set_tensor(w, {4, 2}, {{{0}, {4}}});
       },
       ".metadata: `w`: has a chunk with 1 sizes, expected 2"},
      {"a negative size",
       [](Writer& w) {
         set_tensor(w, {4, -2}, {});
       },
       ".metadata: `w`: a size that is no number from 0 to 2^63 - 1"},
      {"an offset that wraps",
       [](Writer& w) {
         constexpr std::int64_t kFar = 0x7FFFFFFFFFFFFFFF;
         set_tensor(w, {4, 2}, {{{kFar, 0}, {2, 2}}});
         w.metadata.storage[0] = dcp::index("w", {{kFar, 0}});
       },
       ".metadata: `w`: of [4, 2] has a chunk of [2, 2] at [9223372036854775807, 0], which does "
       "not"},
      {"a shape that wraps",
       [](Writer& w) {
         set_tensor(w, {1LL << 40, 1LL << 40}, {});
       },
       ".metadata: `w`: has too large a shape, [1099511627776, 1099511627776]"},
      {"strides that wrap",
       [](Writer& w) {
         set_tensor(w, {0, 1LL << 40, 1LL << 40}, {});
       },
       ".metadata: `w`: has too large a shape"},
      {"65 dimensions", [](Writer& w) { set_tensor(w, std::vector<std::int64_t>(65, 1), {}); },
       ".metadata: `w`: a tensor with 65 dimensions, at most 64", ErrorCode::kUnsupported},
      {"a chunk of another shape in the file",
       [](Writer& w) {
         set_tensor(w, {4, 4}, {{{0, 0}, {2, 4}}, {{2, 0}, {2, 4}}});
       },
       "__0_0.distcp: bytes 0 to ", ErrorCode::kCorrupt,
       ": `w`: the chunk is of float32[2, 2], expected float32[2, 4]"},
      {"a chunk of another dtype in the file",
       [](Writer& w) {
         w.metadata.entries[1] = dcp::tensor({4, 2}, {{{0, 0}, {2, 2}}, {{2, 0}, {2, 2}}}, "int32");
       },
       "__0_0.distcp: bytes 0 to ", ErrorCode::kCorrupt,
       ": `w`: the chunk is of float32[2, 2], expected int32[2, 2]"},
      {"a quantized dtype",
       [](Writer& w) {
         w.metadata.entries[1] = dcp::tensor({4, 2}, {}, "qint8");
       },
       ".metadata: `w`: has the dtype qint8", ErrorCode::kUnsupported},
      {"a dtype that nobody knows",
       [](Writer& w) {
         w.metadata.entries[1] = dcp::tensor({4, 2}, {}, "float7");
       },
       ".metadata: `w`: has the dtype `torch.float7`", ErrorCode::kUnsupported},
  };
}

std::vector<Row> item_rows() {
  return {
      {"a value without data", [](Writer& w) { w.metadata.storage.resize(4); },
       ".metadata: `v`: has no storage_data"},
      {"one key twice in storage_data",
       [](Writer& w) {
         w.metadata.storage.push_back(w.metadata.storage[0]);
         w.metadata.storage.push_back(w.metadata.storage[1]);
       },
       ".metadata: storage_data: names one chunk twice"},
      {"a name twice",
       [](Writer& w) {
         w.metadata.entries.push_back(text("v"));
         w.metadata.entries.push_back(dcp::bytes());
       },
       ".metadata: has the name `v` twice"},
      {"one part for two", [](Writer& w) { w.metadata.storage[3] = w.metadata.storage[1]; },
       "__0_0.distcp: the bytes of `w` and of `w` overlap"},
      {"parts that overlap by a byte",
       [](Writer& w) { w.metadata.storage[1] = dcp::info(kFile, 0, w.data.size() / 2); },
       "__0_0.distcp: the bytes of `w` and of `w` overlap"},
      {"a file cut short", [](Writer& w) { w.data.pop_back(); },
       "__0_0.distcp: `v`: the file is cut short at byte"},
      {"an offset that wraps",
       [](Writer& w) { w.metadata.storage[1] = dcp::info(kFile, 0x7FFFFFFFFFFFFFFF, 100); },
       "__0_0.distcp: `w`: the file is cut short at byte"},
      {"a negative offset",
       [](Writer& w) { w.metadata.storage[1] = dcp::info(kFile, ~std::uint64_t{0}, 100); },
       ".metadata: `w`: has a _StorageInfo without a range"},
      {"a compressed part",
       [](Writer& w) {
         w.metadata.storage[1] = dcp::object(
             "_StorageInfo",
             {text("relative_path"), text(kFile), text("offset"), integer(0), text("length"),
              integer(9), text("transform_descriptors"), pickle::list({text("zstd")})});
       },
       ".metadata: `w`: is stored with the transform `zstd`", ErrorCode::kUnsupported},
      {"a part that is no checkpoint", [](Writer& w) { w.data.replace(0, 4, "GGUF"); },
       "__0_0.distcp: bytes 0 to ", ErrorCode::kWrongKind, ": is a GGUF file"},
      {"a chunk that is no tensor",
       [](Writer& w) { std::swap(w.metadata.storage[1], w.metadata.storage[5]); },
       "__0_0.distcp: bytes ", ErrorCode::kCorrupt, ": `w`: the chunk is no tensor"},
      {"another file", [](Writer& w) { w.metadata.storage[1] = dcp::info("__1_0.distcp", 0, 9); },
       "__1_0.distcp: cannot open: no such file", ErrorCode::kNotFound},
      {"the metadata as a file of data",
       [](Writer& w) { w.metadata.storage[1] = dcp::info(".metadata", 0, 9); },
       ".metadata: `.metadata` is the same file as"},
      {"a path that is a list",
       [](Writer& w) {
         w.metadata.paths = {text("v"), pickle::list({text("v")})};
       },
       ".metadata: `v`: has a path that is no tuple"},
      {"a path that begins in a list",
       [](Writer& w) {
         w.metadata.paths = {text("v"), tuple({integer(0)})};
       },
       ".metadata: `v`: has a path that is not of strings and places in lists"},
      {"a list that is nearly empty",
       [](Writer& w) {
         w.metadata.entries[2] = text("v.9000000");
         w.metadata.storage[4] = dcp::index("v.9000000", std::nullopt);
         w.metadata.paths = {text("v.9000000"), tuple({text("v"), integer(9'000'000)})};
       },
       ".metadata: has a list of 9000001 places, of which 1 are filled", ErrorCode::kUnsupported},
      {"a path through a value",
       [](Writer& w) {
         w.metadata.entries[2] = text("w.x");
         w.metadata.storage[4] = dcp::index("w.x", std::nullopt);
         w.metadata.paths = {text("w.x"), tuple({text("w"), text("x")})};
       },
       ".metadata: `w.x`: has a path that contradicts another at `w`"},
  };
}

void check_rows(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    CAPTURE(row.name);
    Writer writer = good();
    row.edit(writer);
    const TempDir directory;
    write_file(directory / ".metadata", dcp::whole(writer.metadata));
    write_file(directory / kFile, writer.data);
    const auto found = checkpoint::open_checkpoint(directory.path(), {});
    REQUIRE_FALSE(found);
    CAPTURE(found.error().message());
    CHECK(found.error().message().starts_with(directory / row.text));
    CHECK(contains(found.error().message(), row.rest));
    CHECK(found.error().code() == row.code);
  }
}

TEST_CASE("a tensor whose chunks do not tile it is refused") {
  REQUIRE(good().open());
  check_rows(tiling_rows());
}

TEST_CASE("parts that are not as the metadata say are refused") {
  check_rows(item_rows());
}

TEST_CASE("a pickle that is no metadata is refused") {
  const Writer writer = good();
  const std::pair<std::string, std::string> rows[] = {
      {"N", "there is no Metadata where one belongs"},
      {pickle::dict({}), "there is no Metadata where one belongs"},
      {pickle::call(pickle::global("mine", "Metadata"), {}), "there is no Metadata where one"},
      {pickle::call(pickle::global("torch.distributed.x", "Metadata"), {}),
       "a Metadata without attributes"},
      {dcp::object("Metadata", {}), "has no storage_data that are a dict"},
      {dcp::object("Metadata", {text("storage_data"), pickle::dict({})}),
       "has no state_dict_metadata"},
      {dcp::object("Metadata", {text("storage_data"), pickle::dict({"N", "N"})}),
       "there is no MetadataIndex where one belongs"},
      {dcp::object("Metadata", {text("storage_data"), pickle::dict({}), text("state_dict_metadata"),
                                pickle::dict({text("a"), "N"})}),
       "`a`: is neither a tensor nor a value in bytes"},
      {dcp::object("Metadata", {text("storage_data"), pickle::dict({}), text("state_dict_metadata"),
                                pickle::dict({"N", "N"})}),
       "state_dict_metadata: a name that is no string"},
  };
  for (const auto& row : rows) {
    const auto& [value, message] = row;
    CAPTURE(row.second);
    const auto found = writer.open_pickle(pickle::proto(4) + value + ".");
    REQUIRE_FALSE(found);
    CHECK(contains(found.error().message(), "/.metadata: " + message));
  }
  CHECK_FALSE(writer.open_pickle("x"));
}

TEST_CASE("every cut through the metadata is refused") {
  const Writer writer = good();
  const std::string bytes = dcp::whole(writer.metadata);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CAPTURE(size);
    CHECK_FALSE(writer.open_pickle(bytes.substr(0, size)));
  }
}

TEST_CASE("a shape that a short pickle repeats without end is refused") {
  dcp::Metadata metadata;
  const std::string first = dcp::tensor(std::vector<std::int64_t>(64, 0), {}) + pickle::long_put(1);
  for (int i = 0; i < 20'000; ++i) {
    metadata.entries.push_back(text(std::to_string(i)));
    metadata.entries.push_back(i == 0 ? first : pickle::get(1));
  }
  const auto found = Writer().open_pickle(dcp::whole(metadata));
  REQUIRE_FALSE(found);
  CHECK(found.error().code() == ErrorCode::kUnsupported);
  CHECK(contains(found.error().message(), "the metadata unfold to more than 4 sizes"));
}

TEST_CASE("names of files that lead out of the directory or wait are refused") {
  for (const std::string name : {"../x.distcp", "/dev/zero", "..", "a/b", "fifo", "zero"}) {
    CAPTURE(name);
    Writer writer = good();
    writer.metadata.storage[1] = dcp::info(name, 0, 9);
    const TempDir directory;
    write_file(directory / ".metadata", dcp::whole(writer.metadata));
    write_file(directory / kFile, writer.data);
    REQUIRE(::mkfifo((directory / "fifo").c_str(), 0600) == 0);
    std::filesystem::create_symlink("/dev/zero", directory / "zero");
    const auto found = checkpoint::open_checkpoint(directory.path(), {});
    REQUIRE_FALSE(found);
    CHECK(found.error().code() == ErrorCode::kInvalidArgument);
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap::tests
