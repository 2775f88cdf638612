// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "weightmap/containers.h"
#include "weightmap/module.h"

#include "modules/hook_repertoire.h"
#include "modules/recorded.h"

namespace weightmap::tests {

// The modules of a case, over one memory.
class Tree {
 public:
  // `which`: the place in a slot's description of the tensor that it begins with.
  enum Which : std::size_t { kSource = 0, kTarget = 1 };
  Tree(const Json& described, const Recorded& recorded, const Memory& memory, Which which);
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;
  ~Tree() = default;

  Module& root() const { return *modules_.front(); }
  Log& log() { return log_; }

  // Every slot under each of its modules' names, and the number of the tensor that it began with.
  struct NamedSlot {
    Module* module = nullptr;
    std::string name;
    Slot* slot = nullptr;
    std::size_t tensor = 0;
  };
  std::vector<NamedSlot> named_slots() const;

  // Whether modules have the parameters and buffers that they had.
  bool has_its_slots() const;

 private:
  Module& add_child(Module& parent, std::size_t parent_number, const Json& child);
  template <typename Add>
  Module& make(const Json& described, std::size_t number, const Add& add);
  template <typename Add>
  Module& make_list(const Json& described, const Add& add);
  template <typename Add>
  Module& make_dict(const Json& described, const Add& add);
  void fill(Module& module, std::size_t number);
  Slot& slot(std::size_t number);
  void start(Slot& slot, std::size_t number);

  const Json& described_;
  const Recorded& recorded_;
  const Memory& memory_;
  Which which_;
  Log log_;
  std::vector<std::unique_ptr<Module>> owned_;  // those that no container owns
  std::deque<Slot> own_slots_;
  std::vector<Slot*> slots_;  // by number; null: not made yet
  std::vector<Module*> modules_;
};

}  // namespace weightmap::tests
