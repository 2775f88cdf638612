// SPDX-License-Identifier: Apache-2.0
// The committed files: the writer must still write them byte for byte. After a change that is
// meant, WEIGHTMAP_UPDATE_GOLDEN=1 writes them anew.
#include <algorithm>
#include <cstdlib>
#include <string>

#include <doctest/doctest.h>

#include "support/check_file.h"
#include "support/file_bytes.h"
#include "support/golden_files.h"

namespace weightmap::format {
namespace {

using tests::Bytes;

std::string path_of(const std::string& name) {
  return std::string(WEIGHTMAP_TEST_DATA) + "/" + name;
}

void compare_with_golden(const Bytes& bytes, const std::string& name) {
  const std::string path = path_of(name);
  if (std::getenv("WEIGHTMAP_UPDATE_GOLDEN") != nullptr) {
    tests::write_file(path, tests::text_of(bytes));
    MESSAGE("written anew: ", path);
  }
  const std::string golden = tests::read_file(path);
  CHECK(golden.size() == bytes.size());
  CHECK(std::ranges::equal(tests::bytes_of(golden), bytes));
  const auto valid = tests::check_file(tests::bytes_of(golden));
  CHECK_MESSAGE(valid.has_value(), valid.error().message());
}

// The bytes of the lines `    00000040  xx xx ...` in FORMAT.md 9.
std::string bytes_in_specification() {
  const std::string text = tests::read_file(WEIGHTMAP_FORMAT_MD);
  std::string bytes;
  for (std::size_t line = text.find("\n## 9."); line != std::string::npos;
       line = text.find('\n', line + 1)) {
    std::size_t at = line + 1;
    const std::string offset = text.substr(at, 14);
    if (offset.size() < 14 || offset.substr(0, 4) != "    " || offset.substr(12) != "  ") continue;
    if (offset.find_first_not_of("0123456789abcdef", 4) != 12) continue;
    REQUIRE(std::stoul(offset, nullptr, 16) == bytes.size());
    for (at += 14; std::isxdigit(static_cast<unsigned char>(text[at])) != 0; at += 3) {
      bytes += static_cast<char>(std::stoi(text.substr(at, 2), nullptr, 16));
      if (text[at + 2] != ' ') break;
    }
  }
  return bytes;
}

}  // namespace

TEST_SUITE("format/golden") {
  TEST_CASE("the smallest file is written byte for byte as it was") {
    compare_with_golden(tests::encode_file(tests::minimal_content()), "minimal.wmap");
  }

  TEST_CASE("the file with all features is written byte for byte as it was") {
    compare_with_golden(tests::encode_file(tests::features_content()), "features.wmap");
  }

  TEST_CASE("the file with composites of every kind is written byte for byte as it was") {
    compare_with_golden(tests::encode_file(tests::composites_content()), "composites.wmap");
  }

  TEST_CASE("the example of the specification is the smallest file") {
    CHECK(bytes_in_specification() == tests::read_file(path_of("minimal.wmap")));
  }
}

}  // namespace weightmap::format
