// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "weightmap/module.h"
#include "weightmap/save.h"
#include "weightmap/weight_file.h"

// Weight files that tell which one they are: every element of every tensor is the file's mark.
namespace weightmap::tests {

inline constexpr int kTensors = 8;
inline constexpr std::int64_t kElements = 1024;  // 8 KiB a tensor

inline std::string tensor_name(int number) {
  return "t" + std::to_string(number);
}

inline StateDict marked_state(std::int64_t mark, int tensors = kTensors) {
  const std::vector<std::int64_t> values(kElements, mark);
  StateDict state;
  for (int number = 0; number < tensors; ++number)
    state.set(tensor_name(number), StateTensor::copy_of<std::int64_t>({kElements}, values));
  return state;
}

inline void write_marked(const std::string& path, std::int64_t mark, int tensors = kTensors) {
  const auto saved = save(marked_state(mark, tensors), path, {.sync = false});
  if (!saved) throw std::runtime_error(saved.error().message());
}

// Nothing: elements differ, which no file that was written as a whole has.
inline std::optional<std::int64_t> mark_of(const WeightFile& file) {
  std::optional<std::int64_t> mark;
  for (const TensorView tensor : file) {
    const auto values = tensor.values<std::int64_t>();
    if (!values) return std::nullopt;
    for (const std::int64_t value : *values) {
      if (mark.value_or(value) != value) return std::nullopt;
      mark = value;
    }
  }
  return mark;
}

// Of the file that the path leads to, opened anew.
inline std::optional<std::int64_t> mark_at(const std::string& path) {
  const auto file = WeightFile::open(path);
  if (!file) throw std::runtime_error(file.error().message());
  return mark_of(*file);
}

struct MarkedNet : Module {
  Parameter<std::int64_t> t0{*this, "t0", {kElements}};
  Parameter<std::int64_t> t1{*this, "t1", {kElements}};
};

}  // namespace weightmap::tests
