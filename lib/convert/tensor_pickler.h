// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weightmap/result.h"
#include "weightmap/weight_file.h"

#include "convert/pickle_writer.h"

namespace weightmap::convert {

// How an object is made again: by a function of arguments, and what is around that.
struct Rebuild {
  std::function<void()> function;                             // pushes it
  std::function<Result<void>(bool requires_grad)> arguments;  // pushes their tuple
  bool is_parameter = false;
  bool requires_grad = false;
  std::string class_name;  // "module.Class" of a tensor of a subclass; empty: none

  bool is_of_subclass() const { return !class_name.empty(); }
};

// Writes tensors as calls of the functions that rebuild them. Each segment is one storage, so that
// ties and views stay what they are. Not safe for use from several threads.
class TensorPickler {
 public:
  TensorPickler(const WeightFile& file, PickleWriter& into);

  // Pushes a tensor or parameter. Errors: kUnsupported, naming it.
  Result<void> write(std::uint32_t number);

  // REQUIRES: the tensor is not uninitialized.
  Rebuild rebuild_of(std::uint32_t number);

  // An object in two steps. With attributes the caller pushes their dict between them; of a
  // subclass always something: its state or None.
  Result<void> begin(const Rebuild& object, bool with_attributes);
  void end(bool is_parameter, bool with_attributes);

  // Pushes a class or function as a weight file names it: "module\nname" or "module.name".
  // Errors: kUnsupported for one without a module, kUnsafe for what only an attack names.
  Result<void> global(std::string_view text);

  // Pushes storage, offset, shape and strides. Errors as above.
  Result<void> place(std::uint32_t number);
  void hooks();

  // Whether the storage has the tensor's type; else it counts bytes.
  bool is_typed(std::uint32_t number) const;

  // By number of the storage's record.
  const std::vector<std::optional<std::uint32_t>>& storages() const { return storages_; }

 private:
  Result<void> begin_of_subclass(const Rebuild& object);
  void function(std::uint32_t number);
  Result<void> arguments(std::uint32_t number, bool requires_grad);
  void meta_arguments(const TensorView& tensor, bool requires_grad);
  void uninitialized(const TensorView& tensor);
  void storage(std::uint32_t number);
  void lazy_bits(const TensorView& tensor);
  std::uint32_t storage_of(std::optional<std::uint32_t> segment);

  const WeightFile& file_;
  PickleWriter& out_;
  std::vector<bool> is_mixed_;                          // by segment: several types of storage
  std::vector<std::uint32_t> numbers_;                  // by segment
  std::vector<std::optional<std::uint32_t>> storages_;  // by number
};

}  // namespace weightmap::convert
