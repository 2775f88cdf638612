// SPDX-License-Identifier: Apache-2.0
// Damage of any kind to files that are valid: every byte is covered by some rule, and no byte that
// is wrong but signed leads a reader outside.
#include <array>

#include <doctest/doctest.h>

#include "support/check_file.h"
#include "support/golden_files.h"
#include "support/resign.h"

namespace weightmap::format {
namespace {

using tests::Bytes;

// The smallest file, and one with all that a file can have.
std::vector<Bytes> valid_files() {
  return {tests::encode_file(tests::minimal_content()), tests::write_raw(tests::sample_file())};
}

// Every bit alone, all bits, and what a text-mode copy makes of a line end.
constexpr std::byte kChanges[] = {
    std::byte{0x01}, std::byte{0x02}, std::byte{0x04}, std::byte{0x08}, std::byte{0x10},
    std::byte{0x20}, std::byte{0x40}, std::byte{0x80}, std::byte{0xFF}, std::byte{0x07}};

// What to put in the place of a byte: the ends of its range, its neighbours, one bit else.
std::array<std::byte, 8> values_near(std::byte old) {
  const auto number = std::to_integer<unsigned>(old);
  return {std::byte{0},
          std::byte{1},
          std::byte{0x7F},
          std::byte{0x80},
          std::byte{0xFF},
          static_cast<std::byte>(number + 1),
          static_cast<std::byte>(number - 1),
          old ^ std::byte{0x10}};
}

}  // namespace

TEST_SUITE("format/damage") {
  TEST_CASE("a file that is cut short anywhere is refused") {
    for (const Bytes& file : valid_files()) {
      for (std::size_t size = 0; size < file.size(); ++size) {
        CAPTURE(size);
        const auto valid = tests::check_file(std::span(file).first(size));
        REQUIRE_FALSE(valid.has_value());
      }
    }
  }

  TEST_CASE("a single byte that changes is found, wherever it is") {
    for (Bytes file : valid_files()) {
      for (std::size_t at = 0; at < file.size(); ++at) {
        CAPTURE(at);
        for (const std::byte change : kChanges) {
          file[at] ^= change;
          const bool is_valid = tests::check_file(file).has_value();
          file[at] ^= change;
          REQUIRE_FALSE(is_valid);
        }
      }
      CHECK(tests::check_file(file).has_value());
    }
  }

  TEST_CASE("a changed byte of header or index is refused before anything of the index is used") {
    for (Bytes file : valid_files()) {
      const std::size_t end = 128 + tests::index_part(file).size();
      for (std::size_t at = 0; at < end; ++at) {
        CAPTURE(at);
        for (const std::byte change : kChanges) {
          file[at] ^= change;
          REQUIRE_FALSE(tests::open_index(file).has_value());
          file[at] ^= change;
        }
      }
    }
  }

  TEST_CASE("a changed byte of the index that is signed again leads nowhere outside") {
    std::size_t accepted = 0;
    for (Bytes file : valid_files()) {
      const std::size_t end = 128 + tests::index_part(file).size();
      for (std::size_t at = 128; at < end; ++at) {
        CAPTURE(at);
        const std::byte old = file[at];
        for (const std::byte value : values_near(old)) {
          file[at] = value;
          tests::resign_index(file);
          const auto index = tests::open_index(file);
          REQUIRE((!index || tests::walk(index->view)));
          accepted += index ? 1 : 0;
        }
        file[at] = old;
      }
    }
    // Offsets, versions and digests may be others in a valid file: the test is not empty.
    CHECK(accepted > 0);
  }

  TEST_CASE("a changed byte of the extras that is signed again leads nowhere outside") {
    for (Bytes file : valid_files()) {
      const auto index = tests::open_index(file);
      REQUIRE(index.has_value());
      const std::span<std::byte> extras = tests::extras_part(file);
      for (std::size_t at = 0; at < extras.size(); ++at) {
        CAPTURE(at);
        const std::byte old = extras[at];
        for (const std::byte value : values_near(old)) {
          extras[at] = value;
          tests::resign_extras(file);
          const auto signed_again = tests::open_index(file);
          REQUIRE(signed_again.has_value());
          const Bytes copy(extras.begin(), extras.end());
          const auto read = read_extras(copy, signed_again->view);
          REQUIRE((!read || tests::walk(*read)));
        }
        extras[at] = old;
      }
    }
  }
}

}  // namespace weightmap::format
