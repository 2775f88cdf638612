// SPDX-License-Identifier: Apache-2.0
// Builds the module trees of a file of cases (make_cases.py), asks each for its names, binds each
// to its state dict, and holds what happens against what PyTorch recorded: replay CASES.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <fstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "weightmap/load.h"

#include "support/built_file.h"
#include "support/names.h"

namespace weightmap::tests {
namespace {

using Json = nlohmann::json;
using Strings = std::vector<std::string>;

struct Net : Module {
  std::string class_name() const override { return "Net"; }
};

Slot::Wanted wanted(const Json& shape) {
  return {.dtype = Dtype::kFloat32,
          .shape = shape.get<std::vector<std::int64_t>>(),
          .role = SlotRole::kParameter,
          .layout = SlotLayout::kContiguous,
          .alignment_bytes = 4};
}

// The tree of one case, and what it stands on.
class Tree {
 public:
  explicit Tree(const Json& described) {
    for (const Json& shape : described["shapes"])
      slots_.emplace_back(wanted(shape));
    modules_.resize(described["modules"].size());
    for (std::size_t i = 0; i < modules_.size(); ++i)
      fill(modules_[i], described["modules"][i]);
  }
  Module& root() { return modules_.front(); }

 private:
  void fill(Module& module, const Json& described) {
    for (const Json& named : described["parameters"]) {
      const auto name = named[0].get<std::string>();
      if (named[1].is_null())
        module.register_parameter(name, nullptr);
      else
        module.register_parameter(name, slots_[named[1].get<std::size_t>()]);
    }
    for (const Json& named : described["buffers"]) {
      const auto name = named[0].get<std::string>();
      const bool persistent = named[2].get<bool>();
      if (named[1].is_null())
        module.register_buffer(name, nullptr, persistent);
      else
        module.register_buffer(name, slots_[named[1].get<std::size_t>()], persistent);
    }
    for (const Json& named : described["children"]) {
      const auto name = named[0].get<std::string>();
      if (named[1].is_null())
        module.register_module(name, nullptr);
      else
        module.register_module(name, modules_[named[1].get<std::size_t>()]);
    }
  }

  std::deque<Slot> slots_;
  std::deque<Net> modules_;
};

std::size_t bytes_of_shape(const std::vector<std::int64_t>& shape) {
  std::size_t bytes = 4;
  for (const std::int64_t size : shape)
    bytes *= static_cast<std::size_t>(size);
  return bytes;
}

WeightFile file_of(const Json& entries) {
  format::Content content;
  std::vector<std::vector<std::byte>> segments;
  for (const Json& entry : entries) {
    const auto shape = entry[1].get<std::vector<std::int64_t>>();
    const auto segment = entry[2].get<std::uint32_t>();
    content.tensors.push_back(tensor_in(segment, entry[0].get<std::string>(), shape));
    if (segments.size() <= segment) segments.resize(segment + 1);
    segments[segment].resize(std::max(segments[segment].size(), bytes_of_shape(shape)));
  }
  return open_built(build_file(content, segments));
}

Strings strings(std::span<const std::string> all) {
  return {all.begin(), all.end()};
}

bool is_same(const char* what, const Json& found, const Json& expected) {
  if (found == expected) return true;
  std::printf("%s:\n  found    %s\n  expected %s\n", what, found.dump().c_str(),
              expected.dump().c_str());
  return false;
}

bool has_its_names(Module& root, const Json& expected) {
  bool good = true;
  for (const auto& [key, names_of_naming] : expected["names"].items()) {
    const Json asked = Json::parse(key);
    const ModuleNaming naming{
        .prefix = asked[0], .recurse = asked[1], .remove_duplicate = asked[2]};
    good = is_same("named_parameters", names(root.named_parameters(naming)), names_of_naming[0]) &&
           is_same("named_buffers", names(root.named_buffers(naming)), names_of_naming[1]) &&
           is_same("named_modules", names(root.named_modules(naming)), names_of_naming[2]) && good;
  }
  return is_same("named_children", names(root.named_children()), expected["children_once"]) && good;
}

// Every slot that a key of the file names is that key's tensor.
bool is_bound_to(Module& root, const WeightFile& file) {
  const ModuleNaming every_name{.prefix = "", .remove_duplicate = false};
  for (const auto& slots : {root.named_parameters(every_name), root.named_buffers(every_name)}) {
    for (const Module::NamedSlot& named : slots) {
      const auto tensor = file.find(named.name);
      if (!named.persistent || !tensor || named.slot->bytes() == tensor->data()) continue;
      std::printf("%s is not bound to the file's tensor\n", named.name.c_str());
      return false;
    }
  }
  return true;
}

bool is_untouched(Module& root) {
  return std::ranges::none_of(root.parameters(), &Slot::is_bound) &&
         std::ranges::none_of(root.buffers(), &Slot::is_bound);
}

bool binds_as_recorded(Module& root, const Json& expected) {
  const WeightFile file = file_of(expected["entries"]);
  const LoadReport report =
      bind(root, file, {.strict = expected["strict"], .prefix = "", .allow_nothing = true});
  const Json& outcome = expected["outcome"];
  if (outcome.contains("error")) {
    return is_same("error", report.ok() ? Json() : Json(report.text()), outcome["error"]) &&
           is_untouched(root);
  }
  return is_same("error", report.ok() ? "" : report.text(), "") &&
         is_same("missing", strings(report.missing()), outcome["missing"]) &&
         is_same("unexpected", strings(report.unexpected()), outcome["unexpected"]) &&
         is_bound_to(root, file);
}

bool holds(const Json& expected) {
  Tree tree(expected);
  if (has_its_names(tree.root(), expected) && binds_as_recorded(tree.root(), expected)) return true;
  std::printf("in the case %s\n", expected.dump().c_str());
  return false;
}

int replay(const char* path) {
  std::ifstream stream(path);
  const Json cases = Json::parse(stream);
  const auto good = std::ranges::count_if(cases, holds);
  std::printf("%td of %zu cases as in PyTorch\n", good, cases.size());
  return cases.empty() || good != std::ssize(cases) ? 1 : 0;
}

}  // namespace
}  // namespace weightmap::tests

int main(int argc, char** argv) {
  if (argc == 2) return weightmap::tests::replay(argv[1]);
  std::fprintf(stderr, "usage: replay CASES\n");
  return 2;
}
