// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/zip_archive.h"

#include <cstdlib>
#include <string>

#include <doctest/doctest.h>

#include "opened.h"
#include "support/process.h"

namespace weightmap::tests {
namespace {

using checkpoint::ZipArchive;

// Reads the archive and compares each record with what was written.
void check_records(const std::vector<ZipEntry>& entries, const ZipLayout& layout) {
  const TempDir directory;
  write_file(directory / "a.zip", write_zip(entries, layout));
  const auto file = io::File::open(directory / "a.zip");
  REQUIRE(file);
  const auto archive = ZipArchive::read(*file);
  REQUIRE_MESSAGE(archive, message_of(archive));
  REQUIRE(archive->records().size() == entries.size());
  io::ReadAhead ahead;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    CAPTURE(entries[i].name);
    CHECK(archive->records()[i].name == entries[i].name);
    const auto* record = archive->find(entries[i].name);
    REQUIRE(record == &archive->records()[i]);
    REQUIRE(record->size_bytes == entries[i].data.size());
    const auto offset = archive->data_offset(*file, *record, ahead);
    REQUIRE_MESSAGE(offset, message_of(offset));
    CHECK(*offset % layout.alignment == 0);
    std::string data(record->size_bytes, '\0');
    REQUIRE(file->read_at(*offset, std::as_writable_bytes(std::span(data))));
    CHECK(data == entries[i].data);
  }
}

std::vector<ZipEntry> some_entries() {
  return {{.name = "a/data.pkl", .data = noise(300)},
          {.name = "a/empty", .data = "", .flags = 0x0800},
          {.name = "a/data/0", .data = noise(1000, 2)},
          {.name = "a/data/\xc3\xa9 b", .data = noise(1, 3)}};
}

TEST_SUITE("checkpoint/zip_archive") {
  TEST_CASE("archives as torch.save and others lay them out are read") {
    struct Row {
      const char* name;
      ZipLayout layout;
    };
    const Row rows[] = {
        {"64-byte alignment and a ZIP64 end, as PyTorch", {}},
        {"4096-byte alignment", {.alignment = 4096}},
        {"no alignment and no ZIP64 end, as zip tools", {.alignment = 1, .zip64_end = false}},
        {"a comment", {.comment = "made by hand"}},
        {"a comment that looks like an end", {.comment = std::string("PK\5\6") + noise(40)}},
        {"the longest comment", {.comment = noise(0xFFFF)}},
        {"bytes behind the end", {.behind = noise(1000)}},
        {"bytes behind the end as far as they are tolerated", {.behind = noise(0xFFFF)}},
    };
    for (const Row& row : rows) {
      CAPTURE(row.name);
      check_records(some_entries(), row.layout);
    }
  }

  TEST_CASE("records whose numbers stand in ZIP64 fields are read, with descriptors of 24 bytes") {
    auto entries = some_entries();
    for (ZipEntry& entry : entries)
      entry.zip64 = Zip64::kYes;
    check_records(entries, {});
    entries[1].zip64 = Zip64::kNo;
    check_records(entries, {});
  }

  TEST_CASE("records without descriptors and explicit directories are read") {
    auto entries = some_entries();
    for (ZipEntry& entry : entries)
      entry.flags = 0;
    entries.insert(entries.begin() + 1, {.name = "a/", .data = "", .flags = 0});
    entries.insert(entries.begin() + 2, {.name = "a/data/", .data = "", .flags = 0});
    check_records(entries, {});
  }

  TEST_CASE("an archive of many records finds each by its name") {
    std::vector<ZipEntry> entries;
    for (int i = 0; i < 3000; ++i) {
      entries.push_back({.name = "a/data/" + std::to_string(i), .data = std::to_string(i)});
    }
    check_records(entries, {.alignment = 8});
  }

  TEST_CASE("names are compared as they are, and then without the case of letters") {
    const TempDir directory;
    auto entries = some_entries();
    entries.push_back({.name = "A/Data/0", .data = "second"});
    entries.push_back({.name = "A/DATA/8", .data = "eighth"});
    write_file(directory / "a.zip", write_zip(entries));
    const auto file = io::File::open(directory / "a.zip");
    const auto archive = ZipArchive::read(*file);
    REQUIRE(archive);
    REQUIRE(archive->find("a/data/0") != nullptr);
    CHECK(archive->find("a/data/0")->name == "a/data/0");
    CHECK(archive->find("A/Data/0")->name == "A/Data/0");
    REQUIRE(archive->find("A/DATA/0") != nullptr);
    CHECK(archive->find("A/DATA/0")->name == "A/Data/0");  // the first of two by its bytes
    REQUIRE(archive->find("a/data/8") != nullptr);
    CHECK(archive->find("a/data/8")->name == "A/DATA/8");
    CHECK(archive->find("a/data/00") == nullptr);
    CHECK(archive->find("a/data/") == nullptr);
    CHECK(archive->find("") == nullptr);
  }

  TEST_CASE("Python's zipfile agrees with what these tests write") {
    if (!is_installed("python3")) {
      MESSAGE("SKIPPED: python3 is not installed");
      return;
    }
    const TempDir directory;
    const std::string path = directory / "a.zip";
    for (const Zip64 zip64 : {Zip64::kNo, Zip64::kYes}) {
      auto entries = some_entries();
      for (ZipEntry& entry : entries)
        entry.zip64 = zip64;
      write_file(path, write_zip(entries));
      CHECK(output_of("python3 -m zipfile -t " + path) == "Done testing\n");
    }
  }

  TEST_CASE("what Python's zipfile writes is read") {
    if (!is_installed("python3")) {
      MESSAGE("SKIPPED: python3 is not installed");
      return;
    }
    const TempDir directory;
    const std::string path = directory / "a.zip";
    output_of("python3 -c \"import zipfile; z = zipfile.ZipFile('" + path +
              "', 'w'); z.writestr('a/b', b'12345'); z.writestr('a/c', b''); z.close()\"");
    const auto file = io::File::open(path);
    REQUIRE(file);
    const auto archive = ZipArchive::read(*file);
    REQUIRE_MESSAGE(archive, message_of(archive));
    CHECK(archive->records().size() == 2);
    io::ReadAhead ahead;
    const auto offset = archive->data_offset(*file, *archive->find("a/b"), ahead);
    REQUIRE(offset);
    CHECK(read_file(path).substr(*offset, 5) == "12345");
  }
}

}  // namespace
}  // namespace weightmap::tests
