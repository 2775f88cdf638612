// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <deque>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weightmap/module.h"

// Modules that hold others, or parameters, by number or by name, under the names that PyTorch's
// containers give them. They own what they hold. Threads as for Module.
namespace weightmap {

// Goes through modules that are owned by pointer.
template <typename M>
class ModuleIterator {
 public:
  explicit ModuleIterator(const std::unique_ptr<M>* at) : at_(at) {}
  M& operator*() const { return **at_; }
  M* operator->() const { return at_->get(); }
  ModuleIterator& operator++() {
    ++at_;
    return *this;
  }
  friend bool operator==(const ModuleIterator&, const ModuleIterator&) = default;

 private:
  const std::unique_ptr<M>* at_;
};

// torch.nn.ModuleList: children "0", "1" ...
//
//   weightmap::ModuleList<Block> layers{*this, "layers"};
//   for (int i = 0; i < 12; ++i) layers.emplace_back(768);   // Block(Module& parent, name, 768)
template <std::derived_from<Module> M = Module>
class ModuleList : public Module {
 public:
  ModuleList() = default;
  ModuleList(Module& parent, std::string_view name) : Module(parent, name) {}

  template <std::derived_from<M> Child = M, typename... Arguments>
  Child& emplace_back(Arguments&&... arguments) {
    auto child = std::make_unique<Child>(*this, std::to_string(modules_.size()),
                                         std::forward<Arguments>(arguments)...);
    Child& made = *child;
    modules_.push_back(std::move(child));
    return made;
  }

  std::size_t size() const { return modules_.size(); }
  M& operator[](std::size_t number) const { return *modules_[number]; }  // REQUIRES: < size()
  ModuleIterator<M> begin() const { return ModuleIterator<M>(modules_.data()); }
  ModuleIterator<M> end() const { return ModuleIterator<M>(modules_.data() + modules_.size()); }

  std::string class_name() const override { return "ModuleList"; }

 private:
  std::vector<std::unique_ptr<M>> modules_;
};

// torch.nn.Sequential, as far as its state goes: children "0", "1" ... of any classes. One that has
// no state takes a number all the same: `net.emplace_back<weightmap::Stateless>()`.
class Sequential : public ModuleList<> {
 public:
  using ModuleList::ModuleList;
  std::string class_name() const override { return "Sequential"; }
};

// A module without slots: an activation, dropout, pooling.
class Stateless : public Module {
 public:
  using Module::Module;
};

// torch.nn.ModuleDict: children by name.
template <std::derived_from<Module> M = Module>
class ModuleDict : public Module {
 public:
  ModuleDict() = default;
  ModuleDict(Module& parent, std::string_view name) : Module(parent, name) {}

  // A name that is wrong or taken is reported by the first bind, as by every registration.
  template <std::derived_from<M> Child = M, typename... Arguments>
  Child& emplace(std::string_view name, Arguments&&... arguments) {
    auto child = std::make_unique<Child>(*this, name, std::forward<Arguments>(arguments)...);
    Child& made = *child;
    modules_.emplace_back(name, std::move(child));
    return made;
  }

  std::size_t size() const { return modules_.size(); }
  // Null: there is none of that name. Cost: linear.
  M* find(std::string_view name) const {
    for (const auto& [known, child] : modules_)
      if (known == name) return child.get();
    return nullptr;
  }

  std::string class_name() const override { return "ModuleDict"; }

 private:
  std::vector<std::pair<std::string, std::unique_ptr<M>>> modules_;
};

// torch.nn.ParameterList: parameters "0", "1" ...
template <Element T>
class ParameterList : public Module {
 public:
  ParameterList(Module& parent, std::string_view name) : Module(parent, name) {}

  Parameter<T>& emplace_back(std::initializer_list<std::int64_t> shape,
                             SlotLayout layout = SlotLayout::kContiguous) {
    return parameters_.emplace_back(*this, std::to_string(parameters_.size()), shape, layout);
  }

  std::size_t size() const { return parameters_.size(); }
  const Parameter<T>& operator[](std::size_t number) const { return parameters_[number]; }

  std::string class_name() const override { return "ParameterList"; }

 private:
  std::deque<Parameter<T>> parameters_;  // which do not move
};

// torch.nn.ParameterDict: parameters by name.
template <Element T>
class ParameterDict : public Module {
 public:
  ParameterDict(Module& parent, std::string_view name) : Module(parent, name) {}

  Parameter<T>& emplace(std::string_view name,
                        std::initializer_list<std::int64_t> shape,
                        SlotLayout layout = SlotLayout::kContiguous) {
    names_.emplace_back(name);
    return parameters_.emplace_back(*this, name, shape, layout);
  }

  std::size_t size() const { return parameters_.size(); }
  // Null: there is none of that name. Cost: linear.
  const Parameter<T>* find(std::string_view name) const {
    for (std::size_t i = 0; i < names_.size(); ++i)
      if (names_[i] == name) return &parameters_[i];
    return nullptr;
  }

  std::string class_name() const override { return "ParameterDict"; }

 private:
  std::vector<std::string> names_;
  std::deque<Parameter<T>> parameters_;  // which do not move
};

}  // namespace weightmap
