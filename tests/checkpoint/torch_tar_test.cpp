// SPDX-License-Identifier: Apache-2.0
// The tar archive of torch 0.1. One that PyTorch loaded is fixtures_test.cpp's.
#include "checkpoint/torch_tar.h"

#include <string>

#include <doctest/doctest.h>

#include "checkpoint/tar_archive.h"
#include "opened.h"
#include "show.h"
#include "support/checkpoint_check.h"
#include "support/one_byte_changes.h"

namespace weightmap::tests {
namespace {

using pickle::global;
using pickle::integer;
using pickle::list;
using pickle::little;
using pickle::text;
using pickle::tuple;
using pickle::whole;

std::string octal(std::uint64_t number, int digits) {
  std::string text;
  for (int i = 0; i < digits; ++i)
    text.insert(text.begin(), static_cast<char>('0' + ((number >> (3 * i)) & 7U)));
  return text;
}

// A ustar header with the checksum that belongs to it.
std::string tar_header(const std::string& name, const std::string& size, char type) {
  std::string header(512, '\0');
  header.replace(0, name.size(), name);
  header.replace(100, 7, "0000644");
  header.replace(124, size.size(), size);
  header.replace(148, 8, "        ");
  header[156] = type;
  header.replace(257, 7, "ustar  ");
  unsigned sum = 0;
  for (const char byte : header)
    sum += static_cast<unsigned char>(byte);
  header.replace(148, 7, octal(sum, 6) + '\0');
  return header;
}

std::string tar_member(const std::string& name, const std::string& content, char type = '0') {
  return tar_header(name, octal(content.size(), 11), type) + content +
         std::string((512 - content.size() % 512) % 512, '\0');
}

std::string storage_head(const std::string& key, const std::string& storage_class, int count) {
  return whole(tuple({key, text("cpu"), global("torch", storage_class)})) +
         little(static_cast<std::uint64_t>(count), 8);
}

std::string tensor_of(int key, int storage, std::uint32_t rank, const std::string& numbers) {
  return whole(tuple({integer(key), integer(storage), global("torch", "FloatTensor")})) +
         little(rank, 4) + "rest" + numbers;
}

// Everything of an archive, to be changed.
struct Archive {
  std::string storages =
      whole(integer(1)) + storage_head(integer(1), "FloatStorage", 4) + noise(16);
  std::string parts = whole(list({tuple({integer(2), integer(1), integer(1), integer(3)}),
                                  tuple({integer(3), integer(2), integer(1), integer(1)})}));
  std::string tensors = whole(integer(2)) +
                        tensor_of(11, 1, 1, little(4, 8) + little(1, 8) + little(0, 8)) +
                        tensor_of(12, 3, 1, little(1, 8) + little(1, 8) + little(0, 8));
  std::string object = whole(list({text("11") + "Q", integer(12) + "Q", integer(11) + "Q"}));
  std::string before;  // other members

  std::string bytes() const {
    return before + tar_member("sys_info", "x") + tar_member("pickle", object) +
           tar_member("tensors", tensors) + tar_member("storages", storages + parts) +
           std::string(1024, '\0');
  }
};

struct Row {
  const char* name;
  ErrorCode code;
  const char* text;
  void (*edit)(Archive& archive);
};

const Row kRows[] = {
    {"storages without a number", ErrorCode::kCorrupt, "storages: their number is none",
     [](Archive& archive) { archive.storages = whole("N"); }},
    {"-1 tensors", ErrorCode::kCorrupt, "tensors: their number is none",
     [](Archive& archive) { archive.tensors = whole(integer(-1)); }},
    {"2^62 storages", ErrorCode::kCorrupt, "storages: ",
     [](Archive& archive) {
       archive.storages.replace(0, whole(integer(1)).size(), whole(integer(std::int64_t{1} << 62)));
     }},
    {"a storage that is no tuple", ErrorCode::kCorrupt, "storages: what is not (key, location",
     [](Archive& archive) { archive.storages = whole(integer(1)) + whole("N"); }},
    {"a storage whose key is no number", ErrorCode::kCorrupt, "storages: what is not (key, loc",
     [](Archive& archive) {
       archive.storages = whole(integer(1)) + storage_head(text("one"), "FloatStorage", 0);
     }},
    {"a storage of no known class", ErrorCode::kUnsupported,
     "storages: a storage of class `OddStorage`",
     [](Archive& archive) {
       archive.storages = whole(integer(1)) + storage_head(integer(1), "OddStorage", 0);
     }},
    {"a storage of -1 elements", ErrorCode::kCorrupt, "storage 1 has -1 elements",
     [](Archive& archive) {
       archive.storages = whole(integer(1)) + storage_head(integer(1), "FloatStorage", -1);
     }},
    {"a storage cut short", ErrorCode::kCorrupt, "the file is cut short",
     [](Archive& archive) {
       archive.storages = whole(integer(1)) + storage_head(integer(1), "FloatStorage", 1000);
     }},
    {"two storages of one key", ErrorCode::kCorrupt, "two storages have the key 1",
     [](Archive& archive) {
       archive.storages = whole(integer(2)) + storage_head(integer(1), "FloatStorage", 0) +
                          storage_head(integer(1), "FloatStorage", 0);
     }},
    {"parts that are no list", ErrorCode::kCorrupt, "parts of storages: is no list",
     [](Archive& archive) { archive.parts = whole("N"); }},
    {"a part that is no tuple of four", ErrorCode::kCorrupt, "parts of storages: what is not (key",
     [](Archive& archive) {
       archive.parts = whole(list({tuple({integer(2), integer(1)})}));
     }},
    {"a part with a float", ErrorCode::kCorrupt, "parts of storages: what is not (key",
     [](Archive& archive) {
       archive.parts = whole(list({tuple({integer(2), integer(1), pickle::real(1), integer(3)})}));
     }},
    {"a part of nothing", ErrorCode::kCorrupt, "storage 2 is part of 9, which there is not",
     [](Archive& archive) {
       archive.parts = whole(list({tuple({integer(2), integer(9), integer(1), integer(3)})}));
     }},
    {"a part behind the whole", ErrorCode::kCorrupt,
     "storage 2 is 4 elements at 1 of the 4 of storage 1",
     [](Archive& archive) {
       archive.parts = whole(list({tuple({integer(2), integer(1), integer(1), integer(4)})}));
     }},
    {"a part before the whole", ErrorCode::kCorrupt, "storage 2 is 4 elements at -1 of the 4",
     [](Archive& archive) {
       archive.parts = whole(list({tuple({integer(2), integer(1), integer(-1), integer(4)})}));
     }},
    {"a part that is a storage already", ErrorCode::kCorrupt, "two storages have the key 1",
     [](Archive& archive) {
       archive.parts = whole(list({tuple({integer(1), integer(1), integer(0), integer(4)})}));
     }},
    {"a tensor that is no tuple", ErrorCode::kCorrupt, "tensors: what is not (key, key of a",
     [](Archive& archive) { archive.tensors = whole(integer(1)) + whole("N"); }},
    {"a tensor without a storage", ErrorCode::kCorrupt,
     "tensor 11 is in storage 9, which there is not",
     [](Archive& archive) { archive.tensors = whole(integer(1)) + tensor_of(11, 9, 0, ""); }},
    {"a tensor of 2^31 - 1 dimensions", ErrorCode::kUnsupported,
     "tensor 11 has 2147483647 dimensions, at most 64",
     [](Archive& archive) {
       archive.tensors = whole(integer(1)) + tensor_of(11, 1, 0x7FFFFFFF, "");
     }},
    {"a tensor of -1 dimensions", ErrorCode::kUnsupported, "tensor 11 has -1 dimensions",
     [](Archive& archive) {
       archive.tensors = whole(integer(1)) + tensor_of(11, 1, 0xFFFFFFFF, "");
     }},
    {"two tensors of one key", ErrorCode::kCorrupt, "two tensors or storages have the key 11",
     [](Archive& archive) {
       const std::string one = tensor_of(11, 1, 0, little(0, 8));
       archive.tensors = whole(integer(2)) + one + one;
     }},
    {"a tensor with the key of a storage", ErrorCode::kCorrupt,
     "two tensors or storages have the key 1",
     [](Archive& archive) {
       archive.tensors = whole(integer(1)) + tensor_of(1, 1, 0, little(0, 8));
     }},
    {"a tensor behind its storage", ErrorCode::kCorrupt, "does not lie inside its storage of 4 b",
     [](Archive& archive) {
       archive.tensors = whole(integer(2)) +
                         tensor_of(11, 1, 1, little(4, 8) + little(1, 8) + little(0, 8)) +
                         tensor_of(12, 3, 1, little(2, 8) + little(1, 8) + little(0, 8));
     }},
    {"a tensor at a negative place", ErrorCode::kCorrupt, "does not lie inside its storage",
     [](Archive& archive) {
       archive.tensors = whole(integer(2)) +
                         tensor_of(11, 1, 1, little(1, 8) + little(1, 8) + little(~0ULL, 8)) +
                         tensor_of(12, 3, 0, little(0, 8));
     }},
    {"an id of no tensor", ErrorCode::kCorrupt, "object: there is no tensor of the key 13",
     [](Archive& archive) { archive.object = whole(integer(13) + "Q"); }},
    {"an id that is no key", ErrorCode::kCorrupt, "object: a persistent id that is no key",
     [](Archive& archive) { archive.object = whole("NQ"); }},
    {"an id of later versions", ErrorCode::kCorrupt, "object: a persistent id that is no key",
     [](Archive& archive) { archive.object = whole(pickle::tensor()); }},
    {"a storage as a value", ErrorCode::kUnsupported, "object: `0`: a storage that is no tensor's",
     [](Archive& archive) { archive.object = whole(list({integer(1) + "Q"})); }},
    {"an attack in the object", ErrorCode::kUnsafe, "object: opcode 0x63",
     [](Archive& archive) { archive.object = whole(global("os", "system")); }},
    {"an attack among the storages", ErrorCode::kUnsafe, "storages: opcode 0x63",
     [](Archive& archive) { archive.storages = whole(global("os", "system")); }},
    {"two members of one name", ErrorCode::kCorrupt, "tar: two members have the name `pickle`",
     [](Archive& archive) { archive.before = tar_member("pickle", ""); }},
    {"another tar archive", ErrorCode::kWrongKind,
     "is a tar archive, but no checkpoint: there is no member `storages`: unpack it with tar "
     "--extract",
     [](Archive& archive) { archive.before = tar_member("a", "") + std::string(1024, '\0'); }},
    {"a header with another checksum", ErrorCode::kCorrupt,
     "tar: the header at byte 0 differs from its checksum",
     [](Archive& archive) {
       archive.before = tar_member("a", "");
       archive.before[0] = 'b';
     }},
    {"a size that is no number", ErrorCode::kCorrupt,
     "tar: the header at byte 0 has a size that is no number",
     [](Archive& archive) { archive.before = tar_header("a", "12345678", '0'); }},
    {"a size of 2^90", ErrorCode::kCorrupt, "has a size that is no number",
     [](Archive& archive) {
       archive.before = tar_header("a", "\x80\x04" + std::string(10, '\0'), '0');
     }},
    {"a size of 2^64 - 1", ErrorCode::kCorrupt,
     "is of 18446744073709551615 bytes, the file is cut short: it has ",
     [](Archive& archive) {
       archive.before = tar_header("a", std::string("\x80\0\0\0", 4) + std::string(8, '\xff'), '0');
     }},
    {"a thousand members and more", ErrorCode::kUnsupported, "tar: more than 1000 members",
     [](Archive& archive) { archive.before = pickle::repeat(tar_member("a", ""), 1000); }},
};

TEST_SUITE("checkpoint/torch_tar") {
  TEST_CASE("an archive is read, one tensor under two keys is one") {
    const auto found = open_bytes(Archive{}.bytes());
    REQUIRE_MESSAGE(found, message_of(found));
    CHECK(found->kind == "tar checkpoint");
    CHECK(broken_promise(*found) == "");
    CHECK(found->storages.size() == 1);
    REQUIRE(found->tensors.size() == 2);
    CHECK(show(found->values) == "[tensor0, tensor1, tensor0]");
    CHECK(found->tensors[1].offset_bytes == 8);  // a part at 1 of a part at 1
  }

  TEST_CASE("parts of parts lie where PyTorch 1.13 sees them") {
    const auto found =
        checkpoint::open_checkpoint(WEIGHTMAP_TEST_DATA "/checkpoints/containers/tar_parts.pt", {});
    REQUIRE_MESSAGE(found, message_of(found));
    REQUIRE(found->tensors.size() == 2);
    CHECK(found->tensors[0].storage == found->tensors[1].storage);
    CHECK(found->tensors[1].offset_bytes == 24);
    CHECK(found->shape(found->tensors[1])[0] == 2);
  }

  TEST_CASE("members of other types and of GNU's large sizes are passed over") {
    Archive archive;
    archive.before = tar_member("pickle", "", '5') + tar_member("storages", "long name", 'L') +
                     tar_header("tensors", std::string("\x80\0\0\0\0\0\0\0\0\0\0\5", 12), 'x') +
                     std::string(512, 'x');
    const auto found = open_bytes(archive.bytes());
    REQUIRE_MESSAGE(found, message_of(found));
  }

  TEST_CASE("an archive that lies is refused with the path and the reason") {
    for (const Row& row : kRows) {
      CAPTURE(row.name);
      Archive archive;
      row.edit(archive);
      const auto found = open_bytes(archive.bytes());
      REQUIRE_FALSE(found);
      CAPTURE(found.error().message());
      CHECK(found.error().code() == row.code);
      CHECK(contains(found.error().message(), row.text));
      CHECK(contains(found.error().message(), "/model.pt: "));
      CHECK(found.error().message().rfind("/model.pt: ") ==
            found.error().message().find("/model.pt: "));
    }
  }

  TEST_CASE("every change of one byte of the members is read within its bounds or refused") {
    const OneByteChanges seen = open_with_each_byte_changed(Archive{}.bytes());
    CHECK(seen.broken == "");
    CHECK(seen.read > 0);
    CHECK(seen.refused > 0);
  }
}

}  // namespace
}  // namespace weightmap::tests
