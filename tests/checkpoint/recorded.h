// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "checkpoint/checkpoint.h"

// Checkpoints of tests/data/sources against what the reference loaded from them.
namespace weightmap::tests {

std::string source_path(const std::string& name);

// What make.py recorded beside it: "sharded" -> sharded.json
nlohmann::json recorded(const std::string& name);

// The elements of a tensor in row-major order, read through StorageReader a few bytes at a time.
std::string elements_of(const checkpoint::Checkpoint& found, const checkpoint::Tensor& tensor);

// Values, dtypes, shapes and bytes are as recorded, and the promises of a checkpoint hold.
void check_recorded(const checkpoint::Checkpoint& found, const nlohmann::json& expected);

// The values as text without the attributes of the root; and those attributes alone.
std::string root_text(const ValueGraph& values);
std::string root_attributes(const ValueGraph& values);

}  // namespace weightmap::tests
