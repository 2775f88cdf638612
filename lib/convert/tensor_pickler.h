// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "weightmap/result.h"
#include "weightmap/weight_file.h"

#include "convert/pickle_writer.h"

namespace weightmap::convert {

// Writes tensors as calls of the functions that rebuild them. Each segment is one storage, so that
// ties and views stay what they are. Not safe for use from several threads.
class TensorPickler {
 public:
  TensorPickler(const WeightFile& file, PickleWriter& into);

  // Pushes a tensor or parameter. Errors: kUnsupported, naming it.
  Result<void> write(std::uint32_t number);

  // The same in two steps, for a tensor with attributes: between them the caller pushes their dict.
  Result<void> begin_with_attributes(std::uint32_t number);
  void end_with_attributes();

  // By number of the storage's record.
  const std::vector<std::optional<std::uint32_t>>& storages() const { return storages_; }
  std::uint32_t tensor_count() const { return tensor_count_; }

 private:
  Result<void> begin_parameter(std::uint32_t number, bool with_attributes);
  Result<void> begin_call(std::uint32_t number, bool with_attributes);
  Result<void> arguments(std::uint32_t number, bool requires_grad);
  void meta_arguments(const TensorView& tensor, bool requires_grad);
  void uninitialized(const TensorView& tensor);
  void function(const TensorView& tensor, std::uint32_t number);
  void storage(std::uint32_t number, const TensorView& tensor, bool typed);
  void lazy_bits(const TensorView& tensor);
  void hooks();
  bool is_typed(std::uint32_t number, Dtype dtype) const;
  std::uint32_t storage_of(std::optional<std::uint32_t> segment);

  const WeightFile& file_;
  PickleWriter& out_;
  std::vector<bool> is_mixed_;                          // by segment: several types of storage
  std::vector<std::uint32_t> numbers_;                  // by segment
  std::vector<std::optional<std::uint32_t>> storages_;  // by number
  std::uint32_t tensor_count_ = 0;
};

}  // namespace weightmap::convert
