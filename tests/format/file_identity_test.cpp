// SPDX-License-Identifier: Apache-2.0
#include "format/file_identity.h"

#include <algorithm>
#include <string>

#include <doctest/doctest.h>

#include "base/hash.h"
#include "support/checkpoint_writer.h"
#include "support/file_bytes.h"
#include "support/golden_files.h"

namespace weightmap::format {
namespace {

using Kind = fb::DataFileKind;

Result<Digest> identity(fb::DataFileKind kind, const std::string& bytes) {
  return identity_of(kind, bytes.size(), [&](std::uint64_t offset, std::span<std::byte> into) {
    REQUIRE(offset <= bytes.size());
    REQUIRE(into.size() <= bytes.size() - offset);
    std::ranges::copy(tests::bytes_of(bytes).subspan(offset, into.size()), into.begin());
    return Result<void>();
  });
}

Digest digest_from_place(const std::string& bytes, std::size_t begin) {
  return digest_of(tests::bytes_of(bytes).subspan(begin));
}

std::string zip(const tests::ZipLayout& layout = {}) {
  return tests::write_zip({{"a/data.pkl", "program"}, {"a/data/0", std::string(1000, 'x')}},
                          layout);
}

std::string small_zip(const std::string& comment) {
  return zip({.zip64_end = false, .comment = comment});
}

std::string with_number(std::string bytes, std::size_t at, std::uint64_t number, int size = 8) {
  for (int i = 0; i < size; ++i)
    bytes[at + static_cast<std::size_t>(i)] = static_cast<char>(number >> (8 * i));
  return bytes;
}

std::string safetensors(std::uint64_t said_bytes, const std::string& rest) {
  return with_number(std::string(8, '\0'), 0, said_bytes) + rest;
}

std::string weight_file() {
  return std::string(tests::text_of(tests::encode_file(tests::minimal_content())));
}

}  // namespace

TEST_SUITE("format/file identity") {
  TEST_CASE("of a zip it is the digest from the first directory record to the end of the file") {
    const std::string zips[] = {zip(),
                                zip({.comment = "a comment"}),
                                small_zip(""),
                                small_zip("PK\5\6 in a comment"),
                                small_zip(std::string(0xFFFF, 'c')),
                                zip({.behind = std::string(100, '\0')})};
    for (const std::string& bytes : zips) {
      CAPTURE(bytes.size());
      const auto found = identity(Kind::zip, bytes);
      REQUIRE_MESSAGE(found.has_value(), found.error().message());
      CHECK(*found == digest_from_place(bytes, bytes.find("PK\1\2")));
    }
  }

  TEST_CASE("of safetensors it is the digest of the length and the header") {
    const std::string bytes = safetensors(2, "{}data");
    CHECK(*identity(Kind::safetensors, bytes) == digest_from_place(bytes.substr(0, 10), 0));
    CHECK(*identity(Kind::safetensors, safetensors(0, "")) ==
          digest_from_place(std::string(8, '\0'), 0));
  }

  TEST_CASE("of a weight file it is the digest of its index") {
    const std::string bytes = weight_file();
    const auto found = identity(Kind::wmap, bytes);
    REQUIRE(found);
    CHECK(std::string_view(bytes).substr(96, 16) == tests::text_of(found->bytes));
  }

  TEST_CASE("what is no such file is refused with the reason and nothing outside is read") {
    struct Row {
      fb::DataFileKind kind;
      std::string bytes;
      std::string_view text;
    };
    const std::string large = zip();
    const std::size_t locator = large.rfind("PK\6\7");
    const std::size_t small_end = small_zip("").rfind("PK\5\6");
    const Row rows[] = {
        {Kind::zip, "", "there is no zip directory at its end"},
        {Kind::zip, std::string(21, 'x'), "there is no zip directory at its end"},
        {Kind::zip, std::string(100'000, 'x'), "there is no zip directory at its end"},
        {Kind::zip, small_zip("").substr(0, small_end + 21),
         "there is no zip directory at its end"},
        {Kind::zip, small_zip("comment").substr(0, small_end + 23),
         "there is no zip directory at its end"},
        {Kind::zip, with_number(small_zip(""), small_end + 16, 1U << 30U, 4),
         "its directory is said to begin at byte 1073741824 of"},
        {Kind::zip, with_number(large, locator + 8, large.size()), "it ends at byte"},
        {Kind::zip, with_number(large, locator + 8, ~std::uint64_t{0}), "it ends at byte"},
        {Kind::zip, with_number(large, locator + 8, 0), "it has no ZIP64 end"},
        {Kind::zip, with_number(large, large.rfind("PK\6\6") + 48, ~std::uint64_t{0}),
         "its directory is said to begin at byte 18446744073709551615 of"},
        {Kind::safetensors, "1234567", "it ends at byte 7, expected 8 bytes at 0"},
        {Kind::safetensors, safetensors(3, "{}"),
         "its header is said to have 3 bytes, the file has 10"},
        {Kind::safetensors, safetensors(~std::uint64_t{0}, "{}"), "its header is said to have"},
        {Kind::wmap, weight_file().substr(0, 100), "it ends at byte 100, expected 128 bytes at 0"},
        {Kind::wmap, std::string(200, 'x'), "R1"},
        {Kind::wmap, weight_file() + "x", "R7"},
        {Kind::self, weight_file(), "it is of no kind that a data file can be"},
    };
    for (const Row& row : rows) {
      CAPTURE(row.text);
      const auto found = identity(row.kind, row.bytes);
      REQUIRE_FALSE(found);
      CAPTURE(found.error().message());
      CHECK(found.error().message().find(row.text) != std::string::npos);
    }
  }

  TEST_CASE("a directory beyond the limits is refused without reading it") {
    const auto at_end_of = [](std::uint64_t size, const std::string& tail,
                              const std::string& head) {
      return [=](std::uint64_t offset, std::span<std::byte> into) {
        REQUIRE(into.size() < (1U << 20U));
        for (std::size_t i = 0; i < into.size(); ++i) {
          const std::uint64_t at = offset + i;
          const bool in_tail = at >= size - tail.size();
          const char c = in_tail            ? tail[at - (size - tail.size())]
                         : at < head.size() ? head[at]
                                            : '\0';
          into[i] = static_cast<std::byte>(c);
        }
        return Result<void>();
      };
    };
    const std::uint64_t huge = std::uint64_t{1} << 40U;
    const std::string end = with_number("PK\5\6" + std::string(18, '\0'), 16, 0, 4);
    const auto zipped = identity_of(Kind::zip, huge, at_end_of(huge, end, ""));
    REQUIRE_FALSE(zipped);
    CHECK(zipped.error().code() == ErrorCode::kUnsupported);
    const auto tensors =
        identity_of(Kind::safetensors, huge, at_end_of(huge, "", safetensors(100'000'001, "")));
    REQUIRE_FALSE(tensors);
    CHECK(tensors.error().message() == "its header has 100000001 bytes vs 100000000 at most");
  }
}

}  // namespace weightmap::format
