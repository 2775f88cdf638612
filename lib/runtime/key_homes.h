// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "weightmap/module.h"

namespace weightmap {

// Which module of a tree is asked about a key that no slot has: the deepest whose name the key
// begins with. PyTorch reports unexpected keys module by module, parents first.
class KeyHomes {
 public:
  explicit KeyHomes(Module& root);  // cost: linear in the tree

  // The place of the module among all, parents first. Nothing for a key of a child that is
  // registered as none: nobody is asked about it. Cost: a look-up a dot.
  std::optional<std::uint32_t> home(std::string_view key) const;

  // Whether a key is the extra state of the module that is its home.
  bool is_extra_state(std::string_view key) const;

 private:
  std::unordered_map<std::string, std::optional<std::uint32_t>> modules_;  // by "layers.0."
};

}  // namespace weightmap
