// SPDX-License-Identifier: Apache-2.0
// The rules about single entries look at a run of entries at a time: that none is left out.
#include <cstring>
#include <string>

#include <doctest/doctest.h>

#include "base/text.h"
#include "format/rules.h"
#include "support/check_file.h"
#include "support/golden_files.h"

namespace weightmap::format {
namespace {

constexpr std::size_t kCount = 2500;  // two whole runs and a part of one

tests::OpenIndex many_tensors() {
  tests::WholeContent whole;
  for (std::size_t i = 0; i < kCount; ++i) {
    whole.content.tensors.push_back(
        {.name = concat("layers.", i, ".weight"), .shape = {0}, .strides = {1}});
  }
  auto index = tests::open_index(tests::encode_file(whole));
  REQUIRE_MESSAGE(index.has_value(), index.error().message());
  return *std::move(index);
}

// Where the fields of an entry stand: FORMAT.md 3.
struct Fault {
  int rule;
  std::size_t offset;
  std::uint32_t value;
  std::size_t size;
};
constexpr Fault kFaults[] = {
    {13, 20, 0xFFFFFFFFU, 4},  // name_begin
    {14, 0, 0x12345678U, 4},   // name_hash
    {16, 38, 1, 2},            // reserved
    {17, 24, 0xFFFFFFFFU, 4},  // shape_begin
    {18, 16, 0, 4},            // segment: there is none
};

std::byte* bytes_of(tests::OpenIndex& index, std::size_t entry) {
  const auto* const begin = reinterpret_cast<const std::byte*>(&index.view.entries[entry]);
  return index.bytes.data() + (begin - index.bytes.data());
}

std::string broken_rule(const tests::OpenIndex& index) {
  const auto valid = check_index_rules({index.header, index.bytes, index.view, {}});
  return valid ? "" : valid.error().message().substr(0, 3);
}

TEST_SUITE_BEGIN("format/entry_rules");

TEST_CASE("a fault is found in whichever entry it is") {
  tests::OpenIndex index = many_tensors();
  for (const std::size_t entry : {0U, 1U, 1023U, 1024U, 2047U, 2048U, 2499U}) {
    for (const Fault& fault : kFaults) {
      CAPTURE(entry);
      CAPTURE(fault.rule);
      std::byte* const field = bytes_of(index, entry) + fault.offset;
      std::uint32_t right = 0;
      std::memcpy(&right, field, fault.size);
      std::memcpy(field, &fault.value, fault.size);
      CHECK(broken_rule(index) == concat("R", fault.rule));
      std::memcpy(field, &right, fault.size);
    }
  }
  CHECK(broken_rule(index).empty());
}

TEST_CASE("a letter that no name holds is found in whichever name it is") {
  tests::OpenIndex index = many_tensors();
  for (const std::size_t entry : {0U, 1023U, 1024U, 2499U}) {
    for (const char wrong : {'\0', '\x80', '\xFF'}) {
      CAPTURE(entry);
      const std::string_view name = index.view.name(index.view.entries[entry]);
      char* const last = reinterpret_cast<char*>(index.bytes.data()) +
                         (&name.back() - reinterpret_cast<const char*>(index.bytes.data()));
      *last = wrong;
      CHECK(broken_rule(index) == "R13");
      *last = 't';
    }
  }
  CHECK(broken_rule(index).empty());
}

TEST_CASE("of several broken rules the first is named, in whichever entries they are") {
  tests::OpenIndex index = many_tensors();
  for (std::size_t i = std::size(kFaults); i-- > 0;) {
    const Fault& fault = kFaults[i];
    const std::size_t entry = (std::size(kFaults) - 1 - i) * 600;  // a later rule in an earlier run
    std::memcpy(bytes_of(index, entry) + fault.offset, &fault.value, fault.size);
    CHECK(broken_rule(index) == concat("R", fault.rule));
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap::format
