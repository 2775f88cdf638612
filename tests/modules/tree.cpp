// SPDX-License-Identifier: Apache-2.0
#include "modules/tree.h"

#include <utility>

#include "weightmap/migrations.h"

namespace weightmap::tests {
namespace {

// A module with a class's name and version.
class Net : public Module {
 public:
  explicit Net(const Json& described) : described_(described) {}
  Net(Module& parent, std::string_view name, const Json& described)
      : Module(parent, name), described_(described) {}
  std::string class_name() const override { return described_["class"]; }
  std::int64_t version() const override { return described_["version"]; }

 private:
  const Json& described_;
};

// Of the parameters that containers make by themselves: the shape is a list there.
template <typename Add>
Slot& with_shape(const std::vector<std::int64_t>& shape, const Add& add) {
  if (shape.empty()) return add({});
  if (shape.size() == 1) return add({shape[0]});
  return add({shape[0], shape[1]});
}

}  // namespace

Tree::Tree(const Json& described, const Recorded& recorded, const Memory& memory, Which which)
    : described_(described),
      recorded_(recorded),
      memory_(memory),
      which_(which),
      slots_(described["slots"].size()),
      modules_(described["modules"].size()) {
  owned_.push_back(std::make_unique<Net>(described["modules"][0]));
  modules_[0] = owned_.front().get();
  fill(*modules_[0], 0);
}

std::vector<Tree::NamedSlot> Tree::named_slots() const {
  std::vector<NamedSlot> found;
  for (std::size_t i = 0; i < modules_.size(); ++i) {
    for (const char* const kind : {"parameters", "buffers"}) {
      for (const Json& named : described_["modules"][i][kind]) {
        if (named[1].is_null()) continue;
        const std::size_t number = named[1];
        found.push_back(
            {modules_[i], named[0], slots_[number], described_["slots"][number][which_]});
      }
    }
  }
  return found;
}

bool Tree::has_its_slots() const {
  for (std::size_t i = 0; i < modules_.size(); ++i) {
    const Json& described = described_["modules"][i];
    if (modules_[i]->own_parameters().size() != described["parameters"].size()) return false;
    if (modules_[i]->own_buffers().size() != described["buffers"].size()) return false;
  }
  return true;
}

Module& Tree::add_child(Module& parent, std::size_t parent_number, const Json& child) {
  const std::string name = child[0];
  const std::size_t number = child[1];
  const Json& described = described_["modules"][number];
  const std::string kind = described_["modules"][parent_number]["kind"];
  if (kind == "ModuleDict") {
    return make(described, number, [&]<typename M>(auto&&... arguments) -> M& {
      return static_cast<ModuleDict<>&>(parent).emplace<M>(name, arguments...);
    });
  }
  if (kind == "ModuleList" || kind == "Sequential") {
    return make(described, number, [&]<typename M>(auto&&... arguments) -> M& {
      return static_cast<ModuleList<>&>(parent).emplace_back<M>(arguments...);
    });
  }
  return make(described, number, [&]<typename M>(auto&&... arguments) -> M& {
    auto made = std::make_unique<M>(parent, name, arguments...);
    M& module = *made;
    owned_.push_back(std::move(made));
    return module;
  });
}

template <typename Add>
Module& Tree::make(const Json& described, std::size_t number, const Add& add) {
  (void)number;
  const std::string kind = described["kind"];
  if (kind == "ModuleList") return add.template operator()<ModuleList<>>();
  if (kind == "Sequential") return add.template operator()<Sequential>();
  if (kind == "ModuleDict") return add.template operator()<ModuleDict<>>();
  if (kind == "ParameterList") return make_list(described, add);
  if (kind == "ParameterDict") return make_dict(described, add);
  return add.template operator()<Net>(described);
}

template <typename Add>
Module& Tree::make_list(const Json& described, const Add& add) {
  const auto fill_list = [&](auto& list) -> Module& {
    for (const Json& named : described["parameters"]) {
      const std::size_t number = named[1];
      const auto& tensor = recorded_.tensor(described_["slots"][number][which_]);
      slots_[number] =
          &with_shape(tensor.shape, [&](std::initializer_list<std::int64_t> shape) -> Slot& {
            return list.emplace_back(shape);
          });
      start(*slots_[number], number);
    }
    return list;
  };
  if (described["dtype"] == "float32")
    return fill_list(add.template operator()<ParameterList<float>>());
  return fill_list(add.template operator()<ParameterList<double>>());
}

template <typename Add>
Module& Tree::make_dict(const Json& described, const Add& add) {
  const auto fill_dict = [&](auto& dict) -> Module& {
    for (const Json& named : described["parameters"]) {
      const std::string name = named[0];
      const std::size_t number = named[1];
      const auto& tensor = recorded_.tensor(described_["slots"][number][which_]);
      slots_[number] =
          &with_shape(tensor.shape, [&](std::initializer_list<std::int64_t> shape) -> Slot& {
            return dict.emplace(name, shape);
          });
      start(*slots_[number], number);
    }
    return dict;
  };
  if (described["dtype"] == "float32")
    return fill_dict(add.template operator()<ParameterDict<float>>());
  return fill_dict(add.template operator()<ParameterDict<double>>());
}

void Tree::fill(Module& module, std::size_t number) {
  const Json& described = described_["modules"][number];
  const std::string kind = described["kind"];
  if (!kind.starts_with("Parameter")) {
    for (const Json& named : described["parameters"]) {
      const std::string name = named[0];
      if (named[1].is_null())
        module.register_parameter(name, nullptr);
      else
        module.register_parameter(name, slot(named[1]));
    }
  }
  for (const Json& named : described["buffers"]) {
    const std::string name = named[0];
    if (named[1].is_null())
      module.register_buffer(name, nullptr, named[2]);
    else
      module.register_buffer(name, slot(named[1]), named[2]);
  }
  for (const Json& child : described["children"]) {
    const std::string name = child[0];
    if (child[1].is_null()) {
      module.register_module(name, nullptr);
    } else if (Module*& made = modules_[child[1].get<std::size_t>()]; made != nullptr) {
      module.register_module(name, *made);
    } else {
      made = &add_child(module, number, child);
      fill(*made, child[1]);
    }
  }
  if (kind == "BatchNorm1d") migrate_batch_norm(module);
  if (kind == "weight_norm") migrate_weight_norm(module);
  register_hooks(module, described["hooks"], log_);
}

Slot& Tree::slot(std::size_t number) {
  if (slots_[number] != nullptr) return *slots_[number];
  const Json& described = described_["slots"][number];
  const RecordedTensor& tensor = recorded_.tensor(described[which_]);
  const bool is_parameter = tensor.has('p');
  Slot& made = own_slots_.emplace_back(Slot::Wanted{
      .dtype = tensor.dtype,
      .shape = tensor.shape,
      .role = is_parameter ? SlotRole::kParameter : SlotRole::kBuffer,
      .layout = described[2] == "contiguous" ? SlotLayout::kContiguous : SlotLayout::kAnyStrides,
      .any_dtype = described[2] == "any",
      .requires_grad = tensor.has('r')});
  slots_[number] = &made;
  start(made, number);
  return made;
}

void Tree::start(Slot& slot, std::size_t number) {
  const RecordedTensor& tensor = recorded_.tensor(described_["slots"][number][which_]);
  if (!tensor.storage) return;
  slot.use_buffer(memory_.base(*tensor.storage) + tensor.offset_bytes, tensor.strides);
}

}  // namespace weightmap::tests
