// SPDX-License-Identifier: Apache-2.0
#include "recorded.h"

#include <algorithm>
#include <fstream>
#include <numeric>
#include <vector>

#include <doctest/doctest.h>

#include "checkpoint/storage_reader.h"
#include "show.h"
#include "support/checkpoint_check.h"
#include "support/expectation.h"

namespace weightmap::tests {
namespace {

using checkpoint::Checkpoint;
using checkpoint::StorageReader;

// Runs of 1, 2, 3 ... bytes, so that borders fall everywhere.
std::string storage_bytes(const Checkpoint& found, std::uint32_t number) {
  const checkpoint::Storage& storage = found.storages.at(number);
  io::ReadAhead ahead;
  StorageReader reader(found, storage, ahead);
  std::string bytes(storage.size_bytes, '\0');
  std::size_t step = 1;
  for (std::size_t done = 0; done < bytes.size();) {
    const std::size_t size = std::min(step++, bytes.size() - done);
    const auto read = reader.read(std::as_writable_bytes(std::span(bytes).subspan(done, size)));
    REQUIRE_MESSAGE(read, (read ? "" : read.error().message()));
    done += size;
  }
  return bytes;
}

// The numbers of the tensors in the order in which a text mentions them, which stand in their
// places afterwards.
std::vector<std::size_t> renumber(std::string& text) {
  const std::string word = "tensor";
  std::vector<std::size_t> numbers;
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at)) {
    at += word.size();
    const std::size_t end = std::min(text.find_first_not_of("0123456789", at), text.size());
    if (end == at) continue;  // a key, such as `tensors`
    const std::string place = std::to_string(numbers.size());
    numbers.push_back(std::stoul(text.substr(at, end - at)));
    text.replace(at, end - at, place);
  }
  return numbers;
}

}  // namespace

std::string source_path(const std::string& name) {
  return std::string(WEIGHTMAP_TEST_DATA) + "/sources/" + name;
}

nlohmann::json recorded(const std::string& name) {
  return nlohmann::json::parse(std::ifstream(source_path(name + ".json")));
}

std::string elements_of(const Checkpoint& found, const checkpoint::Tensor& tensor) {
  if (tensor.storage == checkpoint::kNoStorage) return "";
  const std::string storage = storage_bytes(found, tensor.storage);
  const auto shape = found.shape(tensor);
  const auto strides = found.strides(tensor);
  const std::size_t size = dtype_info(tensor.dtype).element_bits / 8;
  std::vector<std::int64_t> at(shape.size());
  std::string bytes;
  while (std::ranges::count(shape, 0) == 0) {
    const auto element = std::inner_product(at.begin(), at.end(), strides.begin(), std::int64_t{0});
    bytes += storage.substr(tensor.offset_bytes + static_cast<std::size_t>(element) * size, size);
    std::size_t i = at.size();
    while (i > 0 && ++at[i - 1] == shape[i - 1])
      at[--i] = 0;
    if (i == 0) break;
  }
  return bytes;
}

void check_recorded(const Checkpoint& found, const nlohmann::json& expected) {
  CHECK(broken_promise(found) == "");
  std::string text = root_text(found.values);
  const std::vector<std::size_t> numbers = renumber(text);
  CHECK(text == expected.at("values").get<std::string>());
  const auto& tensors = expected.at("tensors");
  REQUIRE(found.tensors.size() == tensors.size());
  REQUIRE(numbers.size() == tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    CAPTURE(i);
    const checkpoint::Tensor& tensor = found.tensors[numbers[i]];
    CHECK(dtype_name(tensor.dtype) == tensors[i].at("dtype").get<std::string>());
    CHECK(std::ranges::equal(found.shape(tensor),
                             tensors[i].at("shape").get<std::vector<std::int64_t>>()));
    CHECK(elements_of(found, tensor) == from_hex(tensors[i].at("bytes")));
  }
}

std::string root_text(const ValueGraph& values) {
  const std::string all = show(values);
  const std::string attributes = root_attributes(values);
  return attributes.empty() ? all : all.substr(0, all.size() - attributes.size() - 2);
}

std::string root_attributes(const ValueGraph& values) {
  if (!values.node(values.root()).has_attributes) return "";
  const std::string all = show(values);
  return all.substr(all.rfind(" @") + 2);
}

}  // namespace weightmap::tests
