// SPDX-License-Identifier: Apache-2.0
#include "convert/value_paths.h"

#include <algorithm>

#include "base/text.h"

namespace weightmap::convert {
namespace {

constexpr std::uint32_t kNobody = 0xFFFFFFFFU;

}  // namespace

ValuePaths::ValuePaths(const ValueGraph& values)
    : values_(values), parents_(values.size(), kNobody) {}

void ValuePaths::note(std::uint32_t parent, std::uint32_t child) {
  if (parents_[child] == kNobody) parents_[child] = parent;
}

bool ValuePaths::knows(std::uint32_t node) const {
  return parents_[node] != kNobody;
}

std::string ValuePaths::path_to(std::uint32_t node) const {
  std::vector<std::string> steps;
  for (; parents_[node] != kNobody; node = parents_[node])
    steps.push_back(step(parents_[node], node));
  std::string path;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step)
    path += concat(path.empty() ? "" : ".", *step);
  return path;
}

std::string ValuePaths::step(std::uint32_t parent, std::uint32_t child) const {
  const auto items = values_.items(parent);
  const auto found = std::ranges::find(items, child);
  if (found == items.end()) return "__dict__";
  const auto place = static_cast<std::size_t>(found - items.begin());
  if (!is_mapping(values_.node(parent).kind)) return concat(place);
  if (place % 2 == 0) return "a key";
  const std::uint32_t key = items[place - 1];
  if (values_.node(key).kind == ValueKind::kStr) return std::string(values_.text(key));
  return values_.node(key).kind == ValueKind::kInt ? concat(values_.integer(key)) : "?";
}

}  // namespace weightmap::convert
