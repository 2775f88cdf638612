// SPDX-License-Identifier: Apache-2.0
// Archives that lie, and every file that is one byte away from a good one.
#include <filesystem>
#include <string>

#include <doctest/doctest.h>

#include "opened.h"
#include "support/one_byte_changes.h"

namespace weightmap::tests {
namespace {

using pickle::dict;
using pickle::tensor;
using pickle::text;
using pickle::whole;

using Entries = std::vector<ZipEntry>;

// {'a': tensor of storage 0, 'b': tensor of storage 1}
Entries good_entries() {
  return checkpoint_entries(whole(dict({text("a"), tensor(), text("b"), tensor({.key = "1"})})),
                            {{"0", noise(16)}, {"1", noise(16, 2)}});
}

struct Row {
  std::string name;
  ErrorCode code;
  std::string text;
  void (*edit)(Entries& entries);
  ZipLayout layout = {};
};

ZipEntry& storage_0(Entries& entries) {
  return entry_named(entries, "archive/data/0");
}

void keep(Entries&) {}

// The data as a DEFLATE stream of one stored block (RFC 1951, 3.2.4).
ZipEntry& deflate(ZipEntry& entry) {
  entry.method = 8;
  entry.size_bytes = entry.data.size();
  entry.crc32 = crc32(entry.data);
  entry.data = "\1" + pickle::little(entry.data.size(), 2) + pickle::little(~entry.data.size(), 2) +
               entry.data;
  return entry;
}

const Row kRows[] = {
    // The ends.
    {"the directory begins behind the file",
     ErrorCode::kCorrupt,
     "zip: the directory is said to",
     keep,
     {.edit_end =
          [](ZipEnd& small, ZipEnd& large) {
            small.directory_offset = large.directory_offset = 1 << 20;
          }}},
    {"the directory ends behind its end",
     ErrorCode::kCorrupt,
     "zip: the directory is said to be",
     keep,
     {.edit_end =
          [](ZipEnd& small, ZipEnd& large) {
            small.directory_bytes = large.directory_bytes = small.directory_bytes + 1000;
          }}},
    {"place and size of the directory overflow",
     ErrorCode::kCorrupt,
     "zip: the directory is said",
     keep,
     {.edit_end =
          [](ZipEnd& small, ZipEnd& large) {
            small.directory_bytes = small.directory_offset = 0xFFFFFFFF;
            large.directory_bytes = large.directory_offset = ~std::uint64_t{0} - 10;
          }}},
    {"more records than there are",
     ErrorCode::kCorrupt,
     "zip: entry 5 of the directory is cut",
     keep,
     {.edit_end =
          [](ZipEnd& small, ZipEnd& large) {
            small.record_count = large.record_count = small.record_count + 1;
          }}},
    {"fewer records than there are",
     ErrorCode::kCorrupt,
     "bytes of the directory follow its 4",
     keep,
     {.edit_end =
          [](ZipEnd& small, ZipEnd& large) {
            small.record_count = large.record_count = small.record_count - 1;
          }}},
    {"2^40 records",
     ErrorCode::kCorrupt,
     "1099511627776 records do not fit into a directory of",
     keep,
     {.edit_end =
          [](ZipEnd& small, ZipEnd& large) {
            small.record_count = 0xFFFF;
            large.record_count = std::uint64_t{1} << 40U;
          }}},
    {"the two ends count differently",
     ErrorCode::kCorrupt,
     "zip: the two ends of the archive",
     keep,
     {.edit_end = [](ZipEnd& small, ZipEnd&) { ++small.record_count; }}},
    {"the two ends place the directory differently",
     ErrorCode::kCorrupt,
     "zip: the two ends of",
     keep,
     {.edit_end = [](ZipEnd& small, ZipEnd&) { --small.directory_offset; }}},
    {"the two ends differ about the directory's size",
     ErrorCode::kCorrupt,
     "zip: the two ends of",
     keep,
     {.edit_end = [](ZipEnd&, ZipEnd& large) { --large.directory_bytes; }}},
    {"an end that sends to a ZIP64 end that is not there",
     ErrorCode::kCorrupt,
     "zip: the directory is said to be 4294967295 bytes",
     keep,
     {.zip64_end = false,
      .edit_end = [](ZipEnd& small,
                     ZipEnd&) { small.directory_bytes = small.directory_offset = 0xFFFFFFFF; }}},
    {"the ZIP64 end is said to be elsewhere",
     ErrorCode::kCorrupt,
     "zip: there is no ZIP64 end at",
     keep,
     {.edit_locator = [](std::uint64_t& offset) { offset -= 8; }}},
    {"the ZIP64 end is said to be behind its locator",
     ErrorCode::kCorrupt,
     "zip: the ZIP64 end is said to be at byte",
     keep,
     {.edit_locator = [](std::uint64_t& offset) { offset += 20; }}},
    {"the ZIP64 end is said to be at 2^64 - 1",
     ErrorCode::kCorrupt,
     "zip: the ZIP64 end is said to be at byte 18446744073709551615",
     keep,
     {.edit_locator = [](std::uint64_t& offset) { offset = ~std::uint64_t{0}; }}},

    // The directory.
    {"two records of one name", ErrorCode::kCorrupt,
     "zip: two records have the name `archive/data/0`",
     [](Entries& entries) { entries.push_back(storage_0(entries)); }},
    {"a record behind the directory", ErrorCode::kCorrupt,
     "zip: record `archive/data/0` does not lie before the directory",
     [](Entries& entries) { storage_0(entries).header_offset = 100'000; }},
    {"a record at 2^64 - 1", ErrorCode::kCorrupt, "does not lie before the directory",
     [](Entries& entries) {
       storage_0(entries).zip64 = Zip64::kYes;
       storage_0(entries).header_offset = ~std::uint64_t{0};
     }},
    {"a record longer than the archive", ErrorCode::kCorrupt, "does not lie before the directory",
     [](Entries& entries) { storage_0(entries).stored_bytes = 100'000; }},
    {"a record that promises a ZIP64 block", ErrorCode::kCorrupt,
     "zip: entry 2 of the directory lacks a ZIP64 number",
     [](Entries& entries) { storage_0(entries).zip64 = Zip64::kMissing; }},

    // Records.
    {"a record whose place holds no header", ErrorCode::kCorrupt,
     "zip: record `archive/data/0` has no header at byte 3",
     [](Entries& entries) { storage_0(entries).header_offset = 3; }},
    {"a record without the signature of its header", ErrorCode::kCorrupt,
     "zip: record `archive/data/0` has no header",
     [](Entries& entries) { storage_0(entries).local_signature = 0; }},
    {"a header that pushes its data into the directory", ErrorCode::kCorrupt,
     "zip: record `archive/data/1` is said to be 16 bytes at byte",
     [](Entries& entries) { entry_named(entries, "archive/data/1").local_extra_bytes = 0xFFFF; }},
    {"two storages at one place", ErrorCode::kCorrupt,
     "records `archive/data/0` and `archive/data/1` overlap",
     [](Entries& entries) {
       // The padding of the first one leads to the data of the second.
       const std::string file = write_zip(entries);
       const std::size_t header = file.rfind("PK\3\4", file.find(noise(16)));
       storage_0(entries).local_extra_bytes = static_cast<std::uint16_t>(
           file.find(noise(16, 2)) - header - 30 - storage_0(entries).name.size());
     }},
    {"a storage at the place of the pickle", ErrorCode::kCorrupt, "overlap",
     [](Entries& entries) { storage_0(entries).header_offset = 0; }},
    {"a storage that reaches into the next one", ErrorCode::kCorrupt,
     "storage `0` has 200 bytes, expected 16",
     [](Entries& entries) {
       storage_0(entries).stored_bytes = storage_0(entries).size_bytes = 200;
     }},
    {"a stored record of two sizes", ErrorCode::kCorrupt,
     "zip: record `archive/data/0` is said to have 16 bytes, 15 stored ones make 15",
     [](Entries& entries) { storage_0(entries).stored_bytes = 15; }},
    {"a storage packed in another way", ErrorCode::kUnsupported,
     "record `archive/data/0` is packed by method 12, torch.save only stores",
     [](Entries& entries) { storage_0(entries).method = 12; }},
    {"a storage that no DEFLATE stream can unpack to", ErrorCode::kCorrupt,
     "record `archive/data.pkl` is said to have 60000000 bytes, 10 deflated ones make at most "
     "10320",
     [](Entries& entries) {
       ZipEntry& entry = entry_named(entries, "archive/data.pkl");
       entry.method = 8;
       entry.data = std::string(10, 'x');
       entry.size_bytes = 60'000'000;
     }},
    {"a pickle that is no DEFLATE stream", ErrorCode::kCorrupt,
     "record `archive/data.pkl`: its compressed bytes are damaged behind byte 0",
     [](Entries& entries) { entry_named(entries, "archive/data.pkl").method = 8; }},
    {"a deflated pickle that is cut short", ErrorCode::kCorrupt,
     "record `archive/data.pkl`: its compressed bytes are cut short after ",
     [](Entries& entries) {
       ZipEntry& entry = deflate(entry_named(entries, "archive/data.pkl"));
       entry.data.pop_back();
     }},
    {"a deflated pickle that is shorter than it should be", ErrorCode::kCorrupt,
     "record `archive/data.pkl`: unpacks to ",
     [](Entries& entries) { ++*deflate(entry_named(entries, "archive/data.pkl")).size_bytes; }},
    {"a deflated pickle that is longer than it should be", ErrorCode::kCorrupt,
     "record `archive/data.pkl`: unpacks to more than the ",
     [](Entries& entries) { --*deflate(entry_named(entries, "archive/data.pkl")).size_bytes; }},
    {"an encrypted storage", ErrorCode::kUnsupported, "record `archive/data/0` is encrypted",
     [](Entries& entries) { storage_0(entries).flags |= 1U; }},
    {"a storage shorter than the pickle says", ErrorCode::kCorrupt,
     "data.pkl: `a`: storage `0` has 15 bytes, expected 16",
     [](Entries& entries) { storage_0(entries).data.pop_back(); }},
    {"a storage longer than the pickle says", ErrorCode::kCorrupt,
     "data.pkl: `a`: storage `0` has 17 bytes, expected 16",
     [](Entries& entries) { storage_0(entries).data += '\0'; }},
    {"an empty storage for a tensor that is not", ErrorCode::kCorrupt,
     "storage `0` has 0 bytes, expected 16",
     [](Entries& entries) { storage_0(entries).data.clear(); }},
    {"no storage", ErrorCode::kCorrupt, "data.pkl: `a`: there is no record `archive/data/0`",
     [](Entries& entries) { storage_0(entries).name = "archive/other"; }},

    // What makes it a checkpoint.
    {"two directories", ErrorCode::kCorrupt, "record `other/data/9` lies outside of `archive/`",
     [](Entries& entries) { entries.push_back({.name = "other/data/9", .data = "x"}); }},
    {"a record beside the directory", ErrorCode::kCorrupt, "record `x` lies outside of `archive/`",
     [](Entries& entries) { entries.push_back({.name = "x", .data = "x"}); }},
    {"no version", ErrorCode::kCorrupt, "there is no record `version`",
     [](Entries& entries) { entries.pop_back(); }},
    {"version 0", ErrorCode::kUnsupported, "is of version 0, known are 1 to 10",
     [](Entries& entries) { entries.back().data = "0"; }},
    {"version 11", ErrorCode::kUnsupported, "is of version 11, known are 1 to 10",
     [](Entries& entries) { entries.back().data = "11\n"; }},
    {"a version that is no number", ErrorCode::kCorrupt, "the record `version` is `three`",
     [](Entries& entries) { entries.back().data = "three"; }},
    {"a version with more behind it", ErrorCode::kCorrupt, "the record `version` is",
     [](Entries& entries) { entries.back().data = "3 4"; }},
    {"an empty version", ErrorCode::kCorrupt, "the record `version` is ``",
     [](Entries& entries) { entries.back().data.clear(); }},
    {"a version of 2^70", ErrorCode::kCorrupt, "the record `version` is",
     [](Entries& entries) { entries.back().data = "1180591620717411303424"; }},
    {"a very long version", ErrorCode::kUnsupported,
     "record `archive/version` has 1000 bytes, at most 32",
     [](Entries& entries) { entries.back().data = std::string(1000, '3'); }},
    {"a big-endian storage under two sizes of elements", ErrorCode::kUnsupported,
     "storage `0` is big-endian, and tensors see elements of 4 and of 1 bytes in it",
     [](Entries& entries) {
       entry_named(entries, "archive/byteorder").data = "big";
       entry_named(entries, "archive/data.pkl").data =
           whole(pickle::list({tensor(), tensor({.storage_class = "ByteStorage", .numel = 16})}));
     }},
    {"no such byte order", ErrorCode::kCorrupt, "the record `byteorder` is `middle`",
     [](Entries& entries) { entry_named(entries, "archive/byteorder").data = "middle"; }},
    {"an empty pickle", ErrorCode::kCorrupt, "data.pkl: ends at byte 0 without STOP",
     [](Entries& entries) { entry_named(entries, "archive/data.pkl").data.clear(); }},
};

TEST_SUITE("checkpoint/hostile_zip") {
  TEST_CASE("an archive that lies is refused with the path and the reason") {
    for (const Row& row : kRows) {
      CAPTURE(row.name);
      Entries entries = good_entries();
      row.edit(entries);
      const auto found = open_bytes(write_zip(entries, row.layout));
      REQUIRE_FALSE(found);
      CAPTURE(found.error().message());
      CHECK(found.error().code() == row.code);
      CHECK(contains(found.error().message(), row.text));
      CHECK(contains(found.error().message(), "/model.pt: "));
      // The path once only.
      CHECK(found.error().message().rfind("/model.pt: ") ==
            found.error().message().find("/model.pt: "));
    }
  }

  TEST_CASE("what no tensor uses is not looked at") {
    Entries entries = good_entries();
    entries.insert(entries.end() - 1,
                   {{.name = "archive/data/unused", .data = "x", .method = 9},
                    {.name = "archive/code/x.py", .data = "x", .flags = 1, .local_signature = 0}});
    const auto found = open_bytes(write_zip(entries));
    REQUIRE_MESSAGE(found, message_of(found));
    CHECK(found->storages.size() == 2);
  }

  TEST_CASE("the name of the directory, the order and odd keys do not matter") {
    const std::string pickle =
        whole(dict({text("a"), tensor({.key = "x/../y z"}), text("b"), tensor({.key = "-1"})}));
    Entries entries = checkpoint_entries(pickle, {{"-1", noise(16)}, {"x/../y z", noise(16, 2)}},
                                         "my model.ckpt \xc3\xa9");
    std::ranges::reverse(entries);
    const auto found = open_bytes(write_zip(entries));
    REQUIRE_MESSAGE(found, message_of(found));
    REQUIRE(found->storages.size() == 2);
    CHECK(found->storages[0].key == "x/../y z");
    CHECK(found->storages[1].key == "-1");
  }

  TEST_CASE("versions 1 to 10 are read, under either name") {
    for (const char* version : {"1", "3\n", "10", "10\n"}) {
      for (const char* name : {"archive/version", "archive/.data/version"}) {
        Entries entries = good_entries();
        entries.back() = {.name = name, .data = version};
        CHECK(open_bytes(write_zip(entries)));
      }
    }
  }

  TEST_CASE("a checkpoint without a byte order is little-endian") {
    Entries entries = good_entries();
    entry_named(entries, "archive/byteorder").name = "archive/anything";
    CHECK(open_bytes(write_zip(entries)));
  }

  TEST_CASE("every prefix of a good checkpoint is refused, and most say that it is cut short") {
    const std::string good = write_zip(good_entries(), {.alignment = 8});
    REQUIRE(open_bytes(good));
    const TempDir directory;
    const std::string path = directory / "model.pt";
    std::size_t cut_short = 0;
    write_file(path, good);
    for (std::size_t size = good.size(); size-- > 0;) {
      CAPTURE(size);
      std::filesystem::resize_file(path, size);
      const auto found = checkpoint::open_checkpoint(path, {});
      REQUIRE_FALSE(found);
      const std::string part =
          "the file is cut short: there is no zip directory at its end, it has " +
          std::to_string(size) + " bytes";
      cut_short += contains(found.error().message(), part) ? 1 : 0;
    }
    CHECK(cut_short >= good.size() - 4);
  }

  TEST_CASE("every change of one byte of a good checkpoint is read within its bounds or refused") {
    const std::string good = write_zip(good_entries(), {.alignment = 8});
    const OneByteChanges seen = open_with_each_byte_changed(good);
    CHECK(seen.broken == "");
    CHECK(seen.read > 0);
    CHECK(seen.refused > good.size());
  }
}

}  // namespace
}  // namespace weightmap::tests
