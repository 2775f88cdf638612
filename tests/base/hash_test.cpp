// SPDX-License-Identifier: Apache-2.0
#include "base/hash.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "support/file_bytes.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using tests::bytes_of;
using tests::noise;

constexpr std::size_t kSizes[] = {0,
                                  1,
                                  3,
                                  4,
                                  8,
                                  9,
                                  16,
                                  17,
                                  48,
                                  128,
                                  129,
                                  240,
                                  241,
                                  1'024,
                                  1'025,
                                  4'096,
                                  65'537,
                                  300'001,
                                  (512U << 10U) - 1,
                                  512U << 10U,
                                  1'000'000};

std::string hex_of(std::uint64_t number) {
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(number));
  return digits;
}

// The input of the vectors that xxHash publishes and checks itself with.
std::string published_input(std::size_t size) {
  std::string bytes(size, '\0');
  std::uint64_t state = 2654435761U;
  for (char& byte : bytes) {
    byte = static_cast<char>(state >> 56U);
    state *= 11400714785074694797U;
  }
  return bytes;
}

TEST_SUITE_BEGIN("base/hash");

TEST_CASE("XXH3-64 agrees with the published vectors") {
  struct Row {
    std::size_t size;
    std::uint64_t hash;
  };
  const Row rows[] = {
      {0, 0x2D06800538D394C2U},     {1, 0xC44BDFF4074EECDBU},     {6, 0x27B56A84CD2D7325U},
      {12, 0xA713DAF0DFBB77E7U},    {24, 0xA3FE70BF9D3510EBU},    {48, 0x397DA259ECBA1F11U},
      {80, 0xBCDEFBBB2C47C90AU},    {195, 0xCD94217EE362EC3AU},   {403, 0xCDEB804D65C6DEA4U},
      {512, 0x617E49599013CB6BU},   {2'048, 0xDD59E2C3A5F038E0U}, {2'240, 0x6E73A90539CF2948U},
      {2'367, 0xCB37AEB9E5D361EDU},
  };
  for (const Row& row : rows) {
    CAPTURE(row.size);
    CHECK(name_hash(published_input(row.size)) == row.hash);
  }
}

TEST_CASE("XXH3-128 agrees with the published vectors, its high half first") {
  struct Row {
    std::size_t size;
    std::uint64_t low, high;
  };
  const Row rows[] = {
      {0, 0x6001C324468D497FU, 0x99AA06D3014798D8U},
      {1, 0xC44BDFF4074EECDBU, 0xA6CD5E9392000F6AU},
      {6, 0x3E7039BDDA43CFC6U, 0x082AFE0B8162D12AU},
      {12, 0x061A192713F69AD9U, 0x6E3EFD8FC7802B18U},
      {24, 0x1E7044D28B1B901DU, 0x0CE966E4678D3761U},
      {48, 0xF942219AED80F67BU, 0xA002AC4E5478227EU},
      {81, 0x5E8BAFB9F95FB803U, 0x4952F58181AB0042U},
      {222, 0xF1AEBD597CEC6B3AU, 0x337E09641B948717U},
      {403, 0xCDEB804D65C6DEA4U, 0x1B6DE21E332DD73DU},
      {512, 0x617E49599013CB6BU, 0x18D2D110DCC9BCA1U},
      {2'048, 0xDD59E2C3A5F038E0U, 0xF736557FD47073A5U},
      {2'240, 0x6E73A90539CF2948U, 0xCCB134FBFA7CE49DU},
      {2'367, 0xCB37AEB9E5D361EDU, 0xE89C0F6FF369B427U},
  };
  for (const Row& row : rows) {
    CAPTURE(row.size);
    const Digest digest = digest_of(bytes_of(published_input(row.size)));
    CHECK(digest.hex() == hex_of(row.high) + hex_of(row.low));
  }
}

TEST_CASE("a digest's bytes are in the order of its digits") {
  Digest digest;
  CHECK(digest.hex() == std::string(32, '0'));
  digest.bytes[0] = std::byte{0x0f};
  digest.bytes[1] = std::byte{0xa0};
  digest.bytes[15] = std::byte{0xff};
  CHECK(digest.hex() == "0fa0" + std::string(26, '0') + "ff");
  CHECK_FALSE(digest == Digest{});
}

TEST_CASE("digests and hashes are those that xxhsum prints") {
  if (!tests::is_installed("xxhsum")) {
    MESSAGE("SKIPPED: the program xxhsum is not installed");
    return;
  }
  const tests::TempDir dir;
  for (const std::size_t size : kSizes) {
    CAPTURE(size);
    const std::string bytes = noise(size, size);
    tests::write_file(dir / "data", bytes);
    const std::string digest = tests::output_of("xxhsum -H2 < '" + (dir / "data") + "' 2>&1");
    CHECK(digest.substr(0, 32) == digest_of(bytes_of(bytes)).hex());
  }
}

// Older versions of xxhsum know no -H3 and print the 64 bits of it only later.
TEST_CASE("hashes of names are those that xxhsum prints") {
  const std::string probe = "printf x | xxhsum -H3 2>&1";
  if (!tests::is_installed("xxhsum") || std::system((probe + " > /dev/null").c_str()) != 0) {
    MESSAGE("SKIPPED: there is no xxhsum that knows XXH3-64");
    return;
  }
  const tests::TempDir dir;
  for (const std::size_t size : kSizes) {
    CAPTURE(size);
    const std::string bytes = noise(size, size);
    tests::write_file(dir / "data", bytes);
    const std::string printed = tests::output_of("xxhsum -H3 < '" + (dir / "data") + "' 2>&1");
    CHECK_MESSAGE(printed.find(hex_of(name_hash(bytes))) != std::string::npos, printed);
  }
}

TEST_CASE("bytes that come piece by piece have the digest of the whole") {
  for (const std::size_t size : kSizes) {
    for (const std::size_t piece : {std::size_t{1}, std::size_t{63}, std::size_t{256},
                                    std::size_t{257}, std::size_t{4'096}, std::size_t{300'000}}) {
      if (size / piece > 10'000) continue;
      CAPTURE(size);
      CAPTURE(piece);
      const std::string bytes = noise(size, 3);
      DigestStream stream;
      for (std::size_t at = 0; at < size; at += piece) {
        stream.update(bytes_of(std::string_view(bytes).substr(at, piece)));
        stream.update({});
      }
      CHECK(stream.finish() == digest_of(bytes_of(bytes)));
    }
  }
}

TEST_CASE("a stream begins again with nothing when it was finished") {
  DigestStream stream;
  CHECK(stream.finish() == digest_of({}));
  stream.update(bytes_of("some"));
  stream.update(bytes_of("thing"));
  CHECK(stream.finish() == digest_of(bytes_of("something")));
  stream.update(bytes_of("else"));
  CHECK(stream.finish() == digest_of(bytes_of("else")));
  CHECK(stream.finish() == digest_of({}));
}

TEST_CASE("a stream that is moved goes on where it was") {
  DigestStream first;
  first.update(bytes_of("some"));
  DigestStream second = std::move(first);
  second.update(bytes_of("thing"));
  DigestStream third;
  third.update(bytes_of("forgotten"));
  third = std::move(second);
  CHECK(third.finish() == digest_of(bytes_of("something")));
}

TEST_CASE("every bit counts, and so does every zero at the end") {
  const std::string bytes = noise(300);
  std::set<std::string> digests{digest_of(bytes_of(bytes)).hex()};
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::string other = bytes;
    other[bit / 8] = static_cast<char>(other[bit / 8] ^ (1 << bit % 8));
    digests.insert(digest_of(bytes_of(other)).hex());
  }
  for (std::size_t zeros = 1; zeros <= 100; ++zeros) {
    digests.insert(digest_of(bytes_of(bytes + std::string(zeros, '\0'))).hex());
  }
  CHECK(digests.size() == 1 + 8 * 300 + 100);
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
