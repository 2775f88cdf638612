// SPDX-License-Identifier: Apache-2.0
// The stream from before torch 1.6. Files that PyTorch wrote are fixtures_test.cpp's.
#include "checkpoint/legacy_stream.h"

#include <cstring>
#include <filesystem>
#include <string>

#include <doctest/doctest.h>

#include "checkpoint/storage_reader.h"
#include "opened.h"
#include "support/checkpoint_check.h"
#include "support/one_byte_changes.h"

namespace weightmap::tests {
namespace {

using pickle::dict;
using pickle::integer;
using pickle::list;
using pickle::little;
using pickle::text;
using pickle::tuple;
using pickle::whole;

std::string fixture(const std::string& name) {
  return WEIGHTMAP_TEST_DATA "/checkpoints/containers/" + name;
}

struct Id {
  std::string key = "10";
  std::string storage_class = "FloatStorage";
  std::int64_t count = 4;
  std::string part = "N";
};

std::string tensor_of(const Id& id, std::int64_t offset = 0, std::int64_t size = 4) {
  const std::string storage = tuple({text("storage"), pickle::global("torch", id.storage_class),
                                     text(id.key), text("cpu"), integer(id.count), id.part}) +
                              "Q";
  return pickle::call(pickle::global("torch._utils", "_rebuild_tensor"),
                      {storage, integer(offset), pickle::sizes({size}), pickle::sizes({1})});
}

// Everything of a stream, to be changed.
struct Stream {
  std::string magic = pickle::long1("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19");
  std::string protocol = integer(1001);
  std::string machine = dict({text("little_endian"), pickle::boolean(true)});
  std::string object = dict({text("a"), tensor_of({}), text("b"), tensor_of({.key = "9"})});
  std::string keys = list({text("10"), text("9")});
  std::string storages = little(4, 8) + noise(16) + little(4, 8) + noise(16, 2);

  std::string bytes() const {
    return whole(magic) + whole(protocol) + whole(machine) + whole(object) + whole(keys) + storages;
  }
};

struct Row {
  const char* name;
  ErrorCode code;
  const char* text;
  void (*edit)(Stream& stream);
};

const Row kRows[] = {
    {"another protocol", ErrorCode::kUnsupported, "is of protocol 1002, known is 1001",
     [](Stream& stream) { stream.protocol = integer(1002); }},
    {"a protocol that is no number", ErrorCode::kCorrupt,
     "the version of its protocol is no number", [](Stream& stream) { stream.protocol = "N"; }},
    {"rubbish instead of the facts", ErrorCode::kCorrupt, "facts about the machine: opcode 0xff",
     [](Stream& stream) { stream.machine = "\xff"; }},
    {"an attack among the facts", ErrorCode::kUnsafe, "facts about the machine: opcode 0x63",
     [](Stream& stream) { stream.machine = pickle::global("os", "system"); }},
    {"an attack in the object", ErrorCode::kUnsafe, "object: opcode 0x63 (GLOBAL)",
     [](Stream& stream) { stream.object = pickle::global("os", "system"); }},
    {"an attack among the keys", ErrorCode::kUnsafe, "list of storages: opcode 0x63 (GLOBAL)",
     [](Stream& stream) { stream.keys = pickle::global("os", "system"); }},
    {"a persistent id of another kind", ErrorCode::kUnsupported,
     "object: a persistent id that is not",
     [](Stream& stream) { stream.object = integer(1) + "Q"; }},
    {"one storage under two dtypes", ErrorCode::kCorrupt,
     "object: storage `10` is 4 of float32 and, elsewhere, 4 of int32",
     [](Stream& stream) {
       stream.object = list({tensor_of({}), tensor_of({.storage_class = "IntStorage"})});
     }},
    {"one storage of two sizes", ErrorCode::kCorrupt,
     "object: storage `10` is 4 of float32 and, elsewhere, 5 of float32",
     [](Stream& stream) {
       stream.object = list({tensor_of({}), tensor_of({.count = 5})});
     }},
    {"a storage of 2^62 elements", ErrorCode::kCorrupt, "object: a storage of 4611686018427387904",
     [](Stream& stream) { stream.object = list({tensor_of({.count = std::int64_t{1} << 62})}); }},
    {"a storage of -1 elements", ErrorCode::kCorrupt, "object: a storage whose size is no number",
     [](Stream& stream) { stream.object = list({tensor_of({.count = -1})}); }},
    {"keys that are no list", ErrorCode::kCorrupt, "list of storages: is no list",
     [](Stream& stream) {
       stream.keys = tuple({text("10"), text("9")});
     }},
    {"a key that is a number", ErrorCode::kCorrupt, "list of storages: a key that is no text",
     [](Stream& stream) { stream.keys = list({integer(10)}); }},
    {"a key that nothing mentions", ErrorCode::kCorrupt,
     "storage `11` has a place, but nothing mentions it",
     [](Stream& stream) {
       stream.keys = list({text("10"), text("11")});
     }},
    {"a key twice", ErrorCode::kCorrupt, "storage `10` stands twice",
     [](Stream& stream) {
       stream.keys = list({text("10"), text("10")});
     }},
    {"a storage without a place", ErrorCode::kCorrupt,
     "object: `b`: storage `9` is not in the file",
     [](Stream& stream) { stream.keys = list({text("10")}); }},
    {"a storage with another number of elements", ErrorCode::kCorrupt,
     "storage `10` has 5 elements, expected 4", [](Stream& stream) { stream.storages[0] = '\5'; }},
    {"a storage with a negative number of elements", ErrorCode::kCorrupt,
     "storage `10` has -9223372036854775804 elements",
     [](Stream& stream) { stream.storages[7] = '\x80'; }},
    {"a storage cut short", ErrorCode::kCorrupt, "the file is cut short: it has ",
     [](Stream& stream) { stream.storages.pop_back(); }},
    {"a number cut short", ErrorCode::kCorrupt, "bytes, storage `9` goes to byte ",
     [](Stream& stream) { stream.storages.resize(8 + 16 + 7); }},
    {"a storage longer than any file", ErrorCode::kCorrupt, "storage `10` goes to byte ",
     [](Stream& stream) {
       stream.object = tensor_of({.count = std::int64_t{1} << 58});
       stream.keys = list({text("10")});
       stream.storages = little(std::uint64_t{1} << 58U, 8);
     }},
    {"a tensor behind its storage", ErrorCode::kCorrupt, "does not lie inside its storage of 16",
     [](Stream& stream) {
       stream.object = list({tensor_of({}, 1), tensor_of({.key = "9"})});
     }},
    {"a part behind its storage", ErrorCode::kCorrupt,
     "a part of 12 bytes at byte 8 of a storage of 16",
     [](Stream& stream) {
       stream.object = list({tensor_of({.part = tuple({text("1"), integer(2), integer(3)})}),
                             tensor_of({.key = "9"})});
     }},
    {"a tensor behind its part", ErrorCode::kCorrupt, "does not lie inside its storage of 8 bytes",
     [](Stream& stream) {
       stream.object = list({tensor_of({.part = tuple({text("1"), integer(0), integer(2)})}, 0, 3),
                             tensor_of({.key = "9"})});
     }},
    {"a part at a negative place", ErrorCode::kCorrupt, "a storage whose size is no number",
     [](Stream& stream) {
       stream.object = list({tensor_of({.part = tuple({text("1"), integer(-1), integer(2)})}),
                             tensor_of({.key = "9"})});
     }},
    {"a part that is no tuple of three", ErrorCode::kCorrupt,
     "a part of a storage that is not (key, offset, size)",
     [](Stream& stream) {
       stream.object =
           list({tensor_of({.part = tuple({text("1"), integer(0)})}), tensor_of({.key = "9"})});
     }},
};

TEST_SUITE("checkpoint/legacy_stream") {
  TEST_CASE("a stream is read, whatever follows it") {
    for (const char* behind : {"", "more"}) {
      const auto found = open_bytes(Stream{}.bytes() + behind);
      REQUIRE_MESSAGE(found, message_of(found));
      CHECK(found->kind == "legacy checkpoint");
      CHECK(found->storages.size() == 2);
      CHECK(broken_promise(*found) == "");
    }
  }

  TEST_CASE("a stream that lies is refused with the path and the reason") {
    for (const Row& row : kRows) {
      CAPTURE(row.name);
      Stream stream;
      row.edit(stream);
      const auto found = open_bytes(stream.bytes());
      REQUIRE_FALSE(found);
      CAPTURE(found.error().message());
      CHECK(found.error().code() == row.code);
      CHECK(contains(found.error().message(), row.text));
      CHECK(contains(found.error().message(), "/model.pt: "));
      CHECK(found.error().message().rfind("/model.pt: ") ==
            found.error().message().find("/model.pt: "));
    }
  }

  TEST_CASE("a pickle that never ends is not read beyond the file") {
    const auto found = open_bytes(whole(Stream{}.magic) + whole(Stream{}.protocol) + whole("}") +
                                  pickle::repeat(pickle::proto() + "N0", 30'000));
    REQUIRE_FALSE(found);
    CHECK(contains(found.error().message(), "object: ends at byte 120000 without STOP"));
  }

  TEST_CASE("every prefix of a stream is refused") {
    const std::string good = Stream{}.bytes();
    const TempDir directory;
    const std::string path = directory / "model.pt";
    write_file(path, good);
    for (std::size_t size = good.size(); size-- > 0;) {
      CAPTURE(size);
      std::filesystem::resize_file(path, size);
      CHECK_FALSE(checkpoint::open_checkpoint(path, {}));
    }
  }

  TEST_CASE("every change of one byte of a stream is read within its bounds or refused") {
    const OneByteChanges seen = open_with_each_byte_changed(Stream{}.bytes());
    CHECK(seen.broken == "");
    CHECK(seen.read > 0);
    CHECK(seen.refused > 0);
  }

  TEST_CASE("parts of a storage are tensors at a distance, as in torch 0.3, with Python 2's text") {
    const auto found = checkpoint::open_checkpoint(fixture("legacy_python2.pt"), {});
    REQUIRE_MESSAGE(found, message_of(found));
    REQUIRE(found->tensors.size() == 3);
    const auto& all = found->tensors[0];
    const auto& part = found->tensors[1];
    const auto& other = found->tensors[2];
    CHECK(all.storage == part.storage);
    CHECK(all.offset_bytes == 0);
    CHECK(part.offset_bytes == 12);  // two elements to the part, one in it
    CHECK(found->shape(part)[0] == 3);
    CHECK(other.storage != all.storage);
    CHECK(found->storages[all.storage].key == "94279043900432");
    CHECK(found->storages[other.storage].key == "7");
    std::string bytes(24, '\0');
    io::ReadAhead ahead;
    checkpoint::StorageReader reader(*found, found->storages[all.storage], ahead);
    REQUIRE(reader.read(std::as_writable_bytes(std::span(bytes))));
    const float expected[] = {0, 1, 2, 3, 4, 5};
    CHECK(std::memcmp(bytes.data(), expected, sizeof expected) == 0);
    CHECK(found->values.text(found->values.items(found->values.root())[0]) == "all");
  }

  TEST_CASE("the class of a whole module stands in a persistent id") {
    const auto found = checkpoint::open_checkpoint(fixture("legacy_module.pt"), {});
    REQUIRE_MESSAGE(found, message_of(found));
    const ValueGraph& graph = found->values;
    CHECK(graph.node(graph.root()).kind == ValueKind::kOpaque);
    CHECK(graph.text(graph.root()) == "__main__\nAffine");
    CHECK(found->tensors.size() == 2);
    CHECK(found->tensors[0].is_parameter);
  }
}

}  // namespace
}  // namespace weightmap::tests
