// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "weightmap/module.h"

namespace weightmap {

// Goes through a tree of modules as PyTorch's recursion does, parents before children, children in
// their order; a module that has two names is met twice. With a stack of its own: a tree's depth is
// the user's, the call stack's is not. REQUIRES: nothing is registered meanwhile.
//
//   for (ModuleWalk walk(root, ""); !walk.is_done(); walk.advance()) use(walk.module());
class ModuleWalk {
 public:
  // `prefix` stands before every name: "", or something that ends in a dot.
  ModuleWalk(Module& root, std::string prefix);

  bool is_done() const { return path_.empty(); }
  void advance();  // into the first child, or on
  // One step of that: into the next child (true), or out of the present module (false).
  bool step();
  void skip_children();  // of the present module, when advancing

  Module& module() const { return *path_.back().module; }
  std::size_t depth() const { return path_.size(); }  // 1: the root
  // What stands before the names of the present module's own slots: "fc.".
  std::string_view prefix() const { return prefix_; }

  // Names at which a module stood inside itself, and was not entered.
  const std::vector<std::string>& loops() const { return loops_; }

 private:
  struct Visit {
    Module* module = nullptr;
    std::size_t prefix_size = 0;
    std::size_t next_child = 0;
  };
  bool enter_child(const Module::NamedModule& child);
  bool is_on_path(const Module* module) const;
  void push(Module& module);
  void pop();

  std::string prefix_;
  std::vector<Visit> path_;
  std::unordered_set<const Module*> deep_;  // of the path, what lies deep
  std::vector<std::string> loops_;
};

// What is wrong with the tree, one line each: in the present module, and, when the walk is done, in
// the whole.
void note_registration_errors(const ModuleWalk& walk, std::vector<std::string>& errors);
void note_loops(const ModuleWalk& walk, std::vector<std::string>& errors);

}  // namespace weightmap
