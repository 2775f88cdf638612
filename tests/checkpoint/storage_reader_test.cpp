// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/storage_reader.h"

#include <string>

#include <doctest/doctest.h>

#include "opened.h"

namespace weightmap::tests {
namespace {

using checkpoint::Checkpoint;
using checkpoint::Packing;
using checkpoint::Storage;
using checkpoint::StorageReader;

// One DEFLATE stream of stored blocks (RFC 1951, 3.2.4), the last one marked.
std::string deflated(const std::string& bytes, std::size_t block_bytes) {
  std::string stream;
  for (std::size_t at = 0; at < bytes.size(); at += block_bytes) {
    const std::string part = bytes.substr(at, block_bytes);
    stream += (at + block_bytes >= bytes.size() ? "\1" : std::string(1, '\0')) +
              pickle::little(part.size(), 2) + pickle::little(~part.size(), 2) + part;
  }
  return stream;
}

// A file of these bytes with one storage that takes all of it.
Checkpoint checkpoint_of(const std::string& bytes, Storage storage) {
  const TempDir directory;
  write_file(directory / "model.pt", bytes);
  auto file = io::File::open(directory / "model.pt");
  REQUIRE(file);
  Checkpoint checkpoint;
  checkpoint.files.push_back(*std::move(file));
  storage.key = "0";
  storage.packed_bytes = bytes.size();
  if (storage.size_bytes == 0) storage.size_bytes = bytes.size();
  checkpoint.storages.push_back(storage);
  return checkpoint;
}

Result<std::string> read(StorageReader& reader, std::size_t size) {
  std::string bytes(size, '\0');
  const auto done = reader.read(std::as_writable_bytes(std::span(bytes)));
  if (!done) return done.error();
  return bytes;
}

std::string repeated(std::string_view text, std::size_t count) {
  return pickle::repeat(text, count);
}

TEST_SUITE("checkpoint/storage_reader") {
  TEST_CASE("a deflated storage is read in parts and from the middle") {
    const std::string bytes = noise(300'000);
    const std::string packed = deflated(bytes, 65'535);
    const Checkpoint source =
        checkpoint_of(packed, {.size_bytes = bytes.size(), .packing = Packing::kDeflated});
    io::ReadAhead ahead;
    StorageReader reader(source, source.storages[0], ahead);
    REQUIRE(reader.skip(100'001));
    const auto middle = read(reader, 99'999);
    REQUIRE_MESSAGE(middle, message_of(middle));
    CHECK(*middle == bytes.substr(100'001, 99'999));
    const auto rest = read(reader, 100'000);
    REQUIRE_MESSAGE(rest, message_of(rest));
    CHECK(*rest == bytes.substr(200'000));
  }

  TEST_CASE("a deflated storage has exactly the size that was said") {
    struct Row {
      std::uint64_t size_bytes;
      std::string packed;
      const char* text;
    };
    const std::string good = deflated(noise(100), 60);
    const Row rows[] = {
        {99, good, "storage `0`: unpacks to more than the 99 bytes it should have"},
        {101, good, "storage `0`: unpacks to 100 bytes, expected at least 101"},
        {100, good.substr(0, 80), "storage `0`: its compressed bytes are cut short after 70 bytes"},
        {100, "\7" + good, "storage `0`: its compressed bytes are damaged behind byte 0"},
    };
    for (const Row& row : rows) {
      CAPTURE(row.text);
      const Checkpoint source =
          checkpoint_of(row.packed, {.size_bytes = row.size_bytes, .packing = Packing::kDeflated});
      io::ReadAhead ahead;
      StorageReader reader(source, source.storages[0], ahead);
      const auto found = read(reader, row.size_bytes);
      REQUIRE_FALSE(found);
      CHECK(found.error().code() == ErrorCode::kCorrupt);
      CHECK(contains(found.error().message(), std::string("/model.pt: ") + row.text));
    }
  }

  TEST_CASE("big-endian units are turned around, a rest of less than one stays") {
    struct Row {
      std::uint8_t unit;
      std::string expected;
    };
    const Row rows[] = {
        {1, "abcdefghijk"}, {2, "badcfehgjik"}, {4, "dcbahgfeijk"}, {8, "hgfedcbaijk"}};
    for (const Row& row : rows) {
      const Checkpoint source = checkpoint_of("abcdefghijk", {.swapped_bytes = row.unit});
      io::ReadAhead ahead;
      StorageReader reader(source, source.storages[0], ahead);
      const auto found = read(reader, 11);
      REQUIRE(found);
      CHECK(*found == row.expected);
    }
  }

  TEST_CASE("the CRC is told when all was read, of the bytes before they are turned around") {
    const std::string bytes = repeated("0123456789abcdef", 10);
    for (const std::uint32_t wrong : {0U, 1U}) {
      for (const bool is_packed : {false, true}) {
        CAPTURE(is_packed);
        const Checkpoint source =
            checkpoint_of(is_packed ? deflated(bytes, 40) : bytes,
                          {.size_bytes = bytes.size(),
                           .packing = is_packed ? Packing::kDeflated : Packing::kNone,
                           .swapped_bytes = 4,
                           .crc32 = crc32(bytes) ^ wrong});
        io::ReadAhead ahead;
        StorageReader reader(source, source.storages[0], ahead);
        REQUIRE(read(reader, 64));
        CHECK_FALSE(reader.crc_matches().has_value());
        REQUIRE(read(reader, 96));
        CHECK(reader.crc_matches() == (wrong == 0));
      }
    }
  }

  TEST_CASE("nothing is told of a storage without a CRC or one that was not read whole") {
    const Checkpoint without = checkpoint_of("abcd", {});
    io::ReadAhead ahead;
    StorageReader reader(without, without.storages[0], ahead);
    REQUIRE(read(reader, 4));
    CHECK_FALSE(reader.crc_matches().has_value());
    const Checkpoint with = checkpoint_of("abcd", {.crc32 = crc32("abcd")});
    StorageReader partial(with, with.storages[0], ahead);
    REQUIRE(partial.skip(2));
    REQUIRE(read(partial, 2));
    CHECK_FALSE(partial.crc_matches().has_value());
  }
}

}  // namespace
}  // namespace weightmap::tests
