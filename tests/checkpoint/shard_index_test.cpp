// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <string>
#include <sys/stat.h>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "opened.h"
#include "recorded.h"
#include "show.h"

namespace weightmap::tests {
namespace {

TEST_SUITE_BEGIN("checkpoint/shard_index");

const std::string kIndex = "model.safetensors.index.json";

// A safetensors file with one byte a name.
std::string shard(const std::vector<std::string>& names, const std::string& metadata = "") {
  std::string header = "{" + metadata;
  for (std::size_t i = 0; i < names.size(); ++i) {
    header += (header == "{" ? "\"" : ",\"") + names[i] +
              R"(":{"dtype":"U8","shape":[],"data_offsets":[)" + std::to_string(i) + "," +
              std::to_string(i + 1) + "]}";
  }
  header += "}";
  return pickle::little(header.size(), 8) + header + std::string(names.size(), 'x');
}

std::string index_of(const std::vector<std::pair<std::string, std::string>>& map,
                     const std::string& before = "") {
  std::string text;
  for (const auto& [name, file] : map)
    text += (text.empty() ? "\"" : ",\"") + name + "\":\"" + file + "\"";
  return "{" + before + R"("weight_map":{)" + text + "}}";
}

using Files = std::vector<std::pair<std::string, std::string>>;

Result<checkpoint::Checkpoint> open_files(const TempDir& directory, const Files& files) {
  for (const auto& [name, bytes] : files)
    write_file(directory / name, bytes);
  return checkpoint::open_checkpoint(directory / kIndex, {});
}

TEST_CASE("shards that the reference wrote are read as the reference reads them") {
  const std::pair<std::string, std::string> rows[] = {
      {"sharded", "sharded safetensors, 2 files"},
      {"sharded_bin", "sharded zip checkpoint, 2 files"},
  };
  for (const auto& row : rows) {
    const auto& [name, kind] = row;
    CAPTURE(row.first);
    const auto expected = recorded(name);
    const std::string index =
        name == "sharded" ? "/model.safetensors.index.json" : "/pytorch_model.bin.index.json";
    for (const std::string& path : {source_path(name), source_path(name + index)}) {
      const auto found = checkpoint::open_checkpoint(path, {});
      REQUIRE_MESSAGE(found, message_of(found));
      CHECK(found->kind == kind);
      CHECK(found->files.size() == 3);
      check_recorded(*found, expected);
      CHECK(contains(root_attributes(found->values),
                     "{'metadata': {'total_size': 208, 'format': 'pt'}"));
    }
  }
}

TEST_CASE("names stand in the order of the index and attributes are kept by file") {
  const TempDir directory;
  const auto found = open_files(
      directory,
      {{kIndex, index_of({{"b", "2"}, {"a", "1"}, {"c", "2"}},
                         R"("metadata":{"n":18446744073709551615,"f":1.5,"x":[null,true,-3]},)")},
       {"1", shard({"a"}, R"("__metadata__":{"k":"v"})")},
       {"2", shard({"c", "b"})}});
  REQUIRE_MESSAGE(found, message_of(found));
  CHECK(show(found->values) ==
        "{'b': tensor1, 'a': tensor2, 'c': tensor0} @{'metadata': {'n': "
        "int<ffffffffffffffff00>, 'f': 1.5, 'x': [None, True, -3]}, 'shards': {'1': "
        "{'__metadata__': {'k': 'v'}}}}");
  CHECK(found->files[0].path() == directory / kIndex);
  CHECK(found->files[1].path() == directory / "2");
  CHECK(found->storages[found->tensors[2].storage].file == 2);
}

TEST_CASE("what a shard has beside the index comes last") {
  const TempDir directory;
  const auto found = open_files(directory, {{kIndex, index_of({{"b", "2"}, {"a", "1"}})},
                                            {"1", shard({"extra", "a"})},
                                            {"2", shard({"more", "b"})}});
  REQUIRE_MESSAGE(found, message_of(found));
  CHECK(show(found->values) == "{'b': tensor1, 'a': tensor3, 'more': tensor0, 'extra': tensor2}");
}

struct Row {
  std::string name;
  Files files;
  std::string text;  // after the directory
  ErrorCode code = ErrorCode::kCorrupt;
};

std::vector<Row> hostile_rows() {
  const std::string ab = index_of({{"a", "1"}, {"b", "2"}});
  const auto of_one = [](const std::string& file) { return index_of({{"a", file}}); };
  const auto json = [](const std::string& text) { return Files{{kIndex, text}}; };
  const std::string index = kIndex + ": ";
  return {
      {"no JSON", json("{"), index + "is no valid JSON at byte 2"},
      {"another JSON", json(R"({"model_type":"bert"})"),
       index + "is a JSON text, but no index of a sharded checkpoint: it has no `weight_map`",
       ErrorCode::kWrongKind},
      {"a map inside of another field", json(R"({"a":{"weight_map":{"a":"1"}}})"),
       index + "is a JSON text, but no index", ErrorCode::kWrongKind},
      {"depth", json(R"({"metadata":)" + std::string(2'000'000, '[')),
       index + "nests deeper than 100 levels"},
      {"depth of objects", json([] {
         std::string text;
         for (int i = 0; i < 100'000; ++i)
           text += R"({"a":)";
         return text;
       }()),
       index + "nests deeper than 100 levels"},
      {"two maps", json(R"({"weight_map":{},"weight_map":{}})"), index + "has two `weight_map`"},
      {"a map that is a list", json(R"({"weight_map":["1"]})"), index + "weight_map: is no object"},
      {"a map that is a text", json(R"({"weight_map":"1"})"), index + "weight_map: is no object"},
      {"a file that is a number", json(R"({"weight_map":{"a":1}})"),
       index + "weight_map: `a`: an integer is no name of a file"},
      {"a file that is an object", json(R"({"weight_map":{"a":{}}})"),
       index + "weight_map: `a`: is no name of a file"},
      {"a name twice", json(R"({"weight_map":{"a":"1","b":"1","a":"2"}})"),
       index + "weight_map: has the name `a` twice"},
      {"a key of the metadata twice", json(R"({"metadata":{"k":1,"k":2},"weight_map":{}})"),
       index + "has the key `k` twice"},
      {"a field twice", json(R"({"metadata":1,"metadata":2,"weight_map":{}})"),
       index + "has the key `metadata` twice"},
      {"a field of our own name", json(R"({"shards":1,"weight_map":{}})"),
       index + "has a field `shards`, which is not known", ErrorCode::kUnsupported},
      {"a shard that is not there",
       {{kIndex, ab}, {"1", shard({"a"})}},
       "2: cannot open: no such file",
       ErrorCode::kNotFound},
      {"a name that its shard does not have",
       {{kIndex, ab}, {"1", shard({"a"})}, {"2", shard({"c"})}},
       "2: has no `b`, which the index says is there"},
      {"a name in another shard",
       {{kIndex, ab}, {"1", shard({"a", "b"})}, {"2", shard({"c"})}},
       index + "weight_map: `b` is in `1`, not in `2`"},
      {"a name in two shards",
       {{kIndex, ab}, {"1", shard({"a", "b"})}, {"2", shard({"b"})}},
       index + "`b` is in two shards, `1` and `2`"},
      {"an extra name in two shards",
       {{kIndex, ab}, {"1", shard({"a", "e"})}, {"2", shard({"b", "e"})}},
       index + "`e` is in two shards, `1` and `2`"},
      {"a shard that is no checkpoint",
       {{kIndex, of_one("1")}, {"1", "GGUF"}},
       "1: is a GGUF file",
       ErrorCode::kWrongKind},
      {"a shard that is an index",
       {{kIndex, of_one(kIndex)}},
       index + "shard `" + kIndex + "` is the same file as "},
      {"a shard that is another index",
       {{kIndex, of_one("other.json")}, {"other.json", of_one("1")}},
       "other.json: is a JSON text",
       ErrorCode::kWrongKind},
      {"a shard that is no dict",
       {{kIndex, of_one("1")}, {"1", checkpoint_file(pickle::whole("]"), {})}},
       "1: is a shard, but no dict but a list"},
      {"a shard with a number as a key",
       {{kIndex, of_one("1")}, {"1", checkpoint_file(pickle::whole("}K\1Ns"), {})}},
       "1: is a shard with a key that is no string"},
      {"a shard that breaks its rules",
       {{kIndex, of_one("1")}, {"1", shard({"a"}) + "x"}},
       "1: header: describes 1 bytes of data vs 2"},
  };
}

TEST_CASE("an index that breaks a rule is refused, and the file and the name are told") {
  for (const Row& row : hostile_rows()) {
    CAPTURE(row.name);
    const TempDir directory;
    const auto found = open_files(directory, row.files);
    REQUIRE_FALSE(found);
    CAPTURE(found.error().message());
    CHECK(found.error().code() == row.code);
    CHECK(found.error().message().starts_with(directory / row.text));
  }
}

TEST_CASE("asked for the classes that its pickles name, it lists those of all shards") {
  checkpoint::GlobalList list;
  CHECK(checkpoint::open_checkpoint(source_path("sharded"), {.globals = &list}));
  CHECK(list.empty());
  const auto found = checkpoint::open_checkpoint(source_path("sharded_bin"), {.globals = &list});
  REQUIRE_MESSAGE(found, message_of(found));
  CHECK(list.contains("torch._utils._rebuild_tensor_v2"));
}

TEST_CASE("an index that is too long is refused before it is read") {
  const TempDir directory;
  write_file(directory / kIndex, index_of({}));
  CHECK(checkpoint::open_checkpoint(directory / kIndex, {}));
  std::filesystem::resize_file(directory / kIndex, 100'000'001);
  const auto found = checkpoint::open_checkpoint(directory / kIndex, {});
  REQUIRE_FALSE(found);
  CHECK(found.error().code() == ErrorCode::kUnsupported);
  CHECK(contains(found.error().message(), "is a JSON text of 100000001 bytes, at most 100000000"));
}

TEST_CASE("names of shards that lead out of the directory are refused") {
  for (const std::string name : {"../1", "/etc/passwd", "..", ".", "", "a/b", "a\\u0000b"}) {
    CAPTURE(name);
    const TempDir directory;
    const auto found = open_files(directory, {{kIndex, index_of({{"a", name}})}});
    REQUIRE_FALSE(found);
    CHECK(found.error().code() == ErrorCode::kInvalidArgument);
    CHECK(contains(found.error().message(), "is not the name of a file in a directory"));
  }
}

TEST_CASE("a shard that is no regular file is refused without waiting for it") {
  const TempDir directory;
  REQUIRE(::mkfifo((directory / "fifo").c_str(), 0600) == 0);
  std::filesystem::create_symlink("/dev/zero", directory / "zero");
  std::filesystem::create_directory(directory / "folder");
  const std::pair<std::string, std::string> rows[] = {{"fifo", "is a FIFO, not a regular file"},
                                                      {"zero", "is a character device, not a"},
                                                      {"folder", "is a directory, not a"}};
  for (const auto& row : rows) {
    const auto& [name, text] = row;
    CAPTURE(row.first);
    const auto found = open_files(directory, {{kIndex, index_of({{"a", name}})}});
    REQUIRE_FALSE(found);
    CHECK(found.error().message().starts_with((directory / name) + ": " + text));
  }
}

TEST_CASE("a link to a shard is followed, two names of one file are not") {
  const TempDir directory;
  write_file(directory / "blob", shard({"a"}));
  std::filesystem::create_symlink("blob", directory / "1");
  std::filesystem::create_hard_link(directory / "blob", directory / "2");
  CHECK(open_files(directory, {{kIndex, index_of({{"a", "1"}})}}));
  const auto found = open_files(directory, {{kIndex, index_of({{"a", "1"}, {"b", "2"}})}});
  REQUIRE_FALSE(found);
  CHECK(contains(found.error().message(), "shard `2` is the same file as `"));
}

TEST_CASE("a directory is searched for one index") {
  const TempDir directory;
  const auto message = [&] {
    const auto found = checkpoint::open_checkpoint(directory.path(), {});
    CHECK((found || found.error().code() == ErrorCode::kInvalidArgument));
    return message_of(found);
  };
  const std::string what = directory.path() + ": is a directory without an index of shards";
  CHECK(message() == what + " or a checkpoint");
  write_file(directory / "config.json", "{}");
  write_file(directory / "model.safetensors", shard({"a"}));
  CHECK(message() == what + ": give the file `model.safetensors` that is in it");
  write_file(directory / "model.bin", "");
  CHECK(message() == what + " but with 2 checkpoints, among them `model.bin`: give one of them");
  write_file(directory / kIndex, index_of({{"a", "model.safetensors"}}));
  CHECK(message() == "");
  write_file(directory / "model.bin.index.json", "");
  CHECK(message() == directory.path() +
                         ": holds 2 indices of shards, `model.bin.index.json` and "
                         "`model.safetensors.index.json`: give one of them");
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap::tests
