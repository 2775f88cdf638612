// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

// What PyTorch saw in a checkpoint of tests/data/checkpoints, from the JSON beside it. The fields
// are those of tests/data/README.md.
namespace weightmap::tests {

struct ExpectedStorage {
  std::uint64_t size_bytes = 0;
  std::string bytes;
};

struct ExpectedTensor {
  std::string name;
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;
  std::optional<std::size_t> storage;  // in Expectation::storages
  std::uint64_t storage_offset_bytes = 0;
  bool requires_grad = false;
  bool parameter = false;
  bool conj = false;
  bool neg = false;
  bool meta = false;
  std::string bytes;  // the elements in row-major order, as stored
};

struct ExpectedModule {
  std::string path;
  std::int64_t version = 0;
};

struct ExpectedNode {
  std::string kind;
  nlohmann::json value;
  std::vector<std::size_t> children;
  std::optional<std::size_t> attributes;
  std::optional<std::size_t> state;
  std::optional<std::string> factory;
};

struct Expectation {
  std::vector<ExpectedStorage> storages;
  std::vector<ExpectedTensor> tensors;
  std::vector<ExpectedModule> modules;
  std::vector<ExpectedNode> nodes;
  std::size_t root = 0;
};

// Throws when the file is not there or not as described.
Expectation read_expectation(const std::string& json_path);

// The paths of all checkpoints with a description, in ascending order: "<data>/checkpoints/
// torch-2.13/ties.pt" ...
std::vector<std::string> described_checkpoints(const std::string& data_directory);

// "ties.pt" -> "ties.json"
std::string description_of(const std::string& checkpoint_path);

std::string from_hex(const std::string& digits);

}  // namespace weightmap::tests
