// SPDX-License-Identifier: Apache-2.0
// Every rule of FORMAT.md 5, broken in every clause: the error must carry the broken rule's number.
#include <algorithm>
#include <iterator>
#include <numeric>
#include <set>
#include <string>

#include <doctest/doctest.h>

#include "base/text.h"
#include "format/hostile_rows.h"
#include "format/rules.h"
#include "support/check_file.h"
#include "support/file_bytes.h"

namespace weightmap::format {
namespace {

using tests::HostileRow;

std::vector<HostileRow> all_rows() {
  std::vector<HostileRow> all;
  for (const auto rows : {tests::header_rows, tests::index_rows, tests::tensor_rows,
                          tests::composite_rows, tests::extras_rows, tests::blob_rows}) {
    std::ranges::copy(rows(), std::back_inserter(all));
  }
  return all;
}

// The rows `| R7 | ...` of the table in FORMAT.md 5.
std::vector<int> numbers_in_specification() {
  const std::string text = tests::read_file(WEIGHTMAP_FORMAT_MD);
  constexpr std::string_view kRow = "\n| R";
  std::vector<int> numbers;
  for (auto at = text.find(kRow); at != std::string::npos; at = text.find(kRow, at + 1)) {
    numbers.push_back(std::stoi(text.substr(at + kRow.size())));
  }
  return numbers;
}

template <typename Input>
void append_numbers(std::vector<int>& out, std::span<const Rule<Input>> rules) {
  for (const auto& rule : rules)
    out.push_back(rule.number);
}

std::vector<int> numbers_of_functions() {
  std::vector<int> numbers;
  append_numbers(numbers, header_rules());
  append_numbers(numbers, index_bytes_rules());
  append_numbers(numbers, index_rules());
  numbers.push_back(22);  // check_structure_digest
  append_numbers(numbers, extras_bytes_rules());
  append_numbers(numbers, extras_rules());
  numbers.insert(numbers.end(), {27, 28});  // check_padding, check_chunk
  return numbers;
}

}  // namespace

TEST_SUITE("format/hostile") {
  TEST_CASE("the file that all rows are made from is valid") {
    const auto file = tests::write_raw(tests::sample_file());
    const auto valid = tests::check_file(file);
    REQUIRE_MESSAGE(valid.has_value(), valid.error().message());
    const auto index = tests::open_index(file);
    REQUIRE(index.has_value());
    CHECK(tests::walk(index->view));
  }

  TEST_CASE("a file that breaks a rule is refused with the number of that rule") {
    for (const HostileRow& row : all_rows()) {
      CAPTURE(row.rule);
      CAPTURE(row.what);
      const auto valid = tests::check_file(tests::bytes_of_row(row));
      REQUIRE_FALSE(valid.has_value());
      const std::string& message = valid.error().message();
      CAPTURE(message);
      CHECK(message.find(concat(": R", row.rule, ": ")) != std::string::npos);
      CHECK(message.find(row.text) != std::string::npos);
      CHECK(valid.error().code() == row.code);
    }
  }

  TEST_CASE("every rule of the specification has one function and a hostile row") {
    std::vector<int> expected(28);
    std::iota(expected.begin(), expected.end(), 1);
    CHECK(numbers_in_specification() == expected);
    CHECK(numbers_of_functions() == expected);
    std::set<int> covered;
    for (const HostileRow& row : all_rows())
      covered.insert(row.rule);
    CHECK(std::vector(covered.begin(), covered.end()) == expected);
  }
}

}  // namespace weightmap::format
