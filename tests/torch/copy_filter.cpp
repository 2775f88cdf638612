// SPDX-License-Identifier: Apache-2.0
// copy_elements for a test in another language. Standard input holds requests: a line
//   FROM TO CONJ NEG FROM_BYTES TO_BYTES RANK SIZES... FROM_STRIDES... TO_STRIDES...
// then the bytes of the source and those of the target as it was. Standard output gets the bytes of
// each target as it is then.
#include <cstdint>
#include <iostream>
#include <string>
#include <vector>

#include "base/copy_elements.h"

namespace weightmap::tests {
namespace {

std::vector<std::int64_t> read_numbers(std::size_t count) {
  std::vector<std::int64_t> numbers(count);
  for (std::int64_t& number : numbers)
    std::cin >> number;
  return numbers;
}

std::vector<std::byte> read_bytes(std::size_t count) {
  std::vector<std::byte> bytes(count);
  std::cin.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(count));
  return bytes;
}

bool answer_one(const std::string& from_name) {
  std::string to_name;
  ElementSource from;
  ElementTarget to;
  std::size_t from_bytes = 0;
  std::size_t to_bytes = 0;
  std::size_t rank = 0;
  std::cin >> to_name >> from.conj >> from.neg >> from_bytes >> to_bytes >> rank;
  const std::vector<std::int64_t> shape = read_numbers(rank);
  const std::vector<std::int64_t> from_strides = read_numbers(rank);
  const std::vector<std::int64_t> to_strides = read_numbers(rank);
  std::cin.ignore();  // the end of the line
  const std::vector<std::byte> source = read_bytes(from_bytes);
  std::vector<std::byte> target = read_bytes(to_bytes);
  const auto from_dtype = dtype_from_name(from_name);
  const auto to_dtype = dtype_from_name(to_name);
  if (!std::cin || !from_dtype || !to_dtype || !can_copy(*from_dtype, *to_dtype)) return false;
  from = {*from_dtype, shape, from_strides, source.data(), from.conj, from.neg};
  to = {*to_dtype, to_strides, target.data()};
  copy_elements(from, to);
  std::cout.write(reinterpret_cast<const char*>(target.data()),
                  static_cast<std::streamsize>(to_bytes));
  return static_cast<bool>(std::cout);
}

int answer_all() {
  std::ios::sync_with_stdio(false);
  std::string from_name;
  while (std::cin >> from_name) {
    if (!answer_one(from_name)) {
      std::cerr << "a request that cannot be answered\n";
      return 1;
    }
  }
  return 0;
}

}  // namespace
}  // namespace weightmap::tests

int main() {
  return weightmap::tests::answer_all();
}
