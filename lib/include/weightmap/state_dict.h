// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "weightmap/composite_view.h"
#include "weightmap/ordered_map.h"
#include "weightmap/tensor_view.h"
#include "weightmap/value_graph.h"
#include "weightmap/weight_file.h"

namespace weightmap {

// A tensor by itself: what it is, where its bytes are, and who keeps them. A value; copies share
// the bytes. Reading is safe from several threads.
class StateTensor {
 public:
  struct Facts {
    Dtype dtype = Dtype::kFloat32;
    std::vector<std::int64_t> shape;
    std::optional<std::vector<std::int64_t>> strides;  // in elements; without: contiguous
    std::uint16_t flags = 0;                           // FORMAT.md 3
  };

  // A tensor over bytes that `owner` keeps alive (null: the caller does). `data` is the first
  // element; null with the flag meta. `storage` is what it may be a view of; without: the tensor's
  // own bytes. REQUIRES: as many strides as sizes, all >= 0, and bytes for them in the storage.
  static StateTensor over(Facts facts,
                          const std::byte* data,
                          std::shared_ptr<const void> owner,
                          std::span<const std::byte> storage = {});

  // A tensor of a weight file, which it keeps open. REQUIRES: number < file.tensor_count().
  static StateTensor of_file(const WeightFile& file, std::uint32_t number);

  // A contiguous tensor with a copy of the values. REQUIRES: as many as the shape says.
  template <Element T>
  static StateTensor copy_of(const std::vector<std::int64_t>& shape, std::span<const T> values) {
    return copy_of_bytes(*kDtypeOf<T>, shape, std::as_bytes(values));
  }
  static StateTensor copy_of_bytes(Dtype dtype,
                                   std::vector<std::int64_t> shape,
                                   std::span<const std::byte> bytes);

  // Valid as long as a copy of this is. Its name is the one in the file, or empty.
  const TensorView& view() const { return view_; }

  // All bytes that tensors of the same storage may lie in: tensors with the same one are ties or
  // views of each other.
  std::span<const std::byte> storage() const { return storage_; }

  const std::shared_ptr<const void>& owner() const { return owner_; }
  std::string_view origin() const { return origin_; }  // the path of its file, or ""

  // The same bytes as a plain tensor, a parameter, a buffer: flags as FORMAT.md 3 has them.
  StateTensor with_flags(std::uint16_t flags) const;

 private:
  StateTensor(const TensorView& view,
              std::shared_ptr<const void> owner,
              std::span<const std::byte> storage)
      : view_(view), owner_(std::move(owner)), storage_(storage) {}

  TensorView view_;
  std::shared_ptr<const void> owner_;  // of what the view looks at, its shape included
  std::span<const std::byte> storage_;
  std::string_view origin_;
};

// A key that stands for several tensors; it lies in a weight file.
struct StateComposite {
  WeightFile file;
  std::uint32_t number = 0;  // of file.composite()
};

// What is no tensor: an extra state, a number beside the weights. A value; copies share it.
class StateValue {
 public:
  // A kTensor node's number is that of `tensors`, a kComposite node's one of `composites`.
  // REQUIRES: !graph.empty().
  explicit StateValue(ValueGraph graph,
                      std::vector<StateTensor> tensors = {},
                      std::vector<StateComposite> composites = {});

  static StateValue of_integer(std::int64_t number);
  static StateValue of_real(double number);
  static StateValue of_bool(bool truth);
  static StateValue of_text(std::string_view text);

  const ValueGraph& graph() const { return parts_->graph; }
  std::span<const StateTensor> tensors() const { return parts_->tensors; }
  std::span<const StateComposite> composites() const { return parts_->composites; }

  // The number, if it is one: bool and int; bool, int and float.
  std::optional<std::int64_t> integer() const;
  std::optional<double> real() const;
  std::optional<std::string_view> text() const;

  // As Python names it: "int", "collections.OrderedDict".
  std::string class_name() const;

 private:
  struct Parts {
    ValueGraph graph;
    std::vector<StateTensor> tensors;
    std::vector<StateComposite> composites;
  };
  std::shared_ptr<const Parts> parts_;
};

// What stands under a key.
class StateItem {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): an item is any of these
  StateItem(StateTensor tensor) : what_(std::move(tensor)) {}
  // NOLINTNEXTLINE(google-explicit-constructor)
  StateItem(StateComposite composite) : what_(std::move(composite)) {}
  // NOLINTNEXTLINE(google-explicit-constructor)
  StateItem(StateValue value) : what_(std::move(value)) {}

  // Null: it is something else.
  const StateTensor* tensor() const { return std::get_if<StateTensor>(&what_); }
  const StateComposite* composite() const { return std::get_if<StateComposite>(&what_); }
  const StateValue* value() const { return std::get_if<StateValue>(&what_); }

 private:
  std::variant<StateTensor, StateComposite, StateValue> what_;
};

// What a module noted beside its tensors: an entry of PyTorch's `_metadata`.
struct ModuleMetadata {
  std::optional<std::int64_t> version;
  OrderedMap<StateValue> values;  // all but the version
};

// What Module::state_dict gives and load_state_dict takes: keys to tensors and values, in order,
// with the metadata of modules by their paths ("" is the root, "layers.0" a child). It edits like
// Python's dictionary. Copying it copies no tensor's bytes.
class StateDict : public OrderedMap<StateItem> {
 public:
  OrderedMap<ModuleMetadata>& metadata() { return metadata_; }
  const OrderedMap<ModuleMetadata>& metadata() const { return metadata_; }

 private:
  OrderedMap<ModuleMetadata> metadata_;
};

// torch.nn.modules.utils.consume_prefix_in_state_dict_if_present: strips a prefix, such as
// "module.", from the keys that begin with it (they go to the end) and from the metadata's paths.
void consume_prefix_in_state_dict_if_present(StateDict& state_dict, std::string_view prefix);

}  // namespace weightmap
