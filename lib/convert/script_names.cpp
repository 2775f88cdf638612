// SPDX-License-Identifier: Apache-2.0
#include "convert/script_names.h"

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_set>

#include "format/naming.h"

namespace weightmap::convert {
namespace {

using View = std::tuple<std::uint32_t,
                        std::uint64_t,
                        Dtype,
                        std::vector<std::int64_t>,
                        std::vector<std::int64_t>>;

// Of one with bytes.
std::optional<View> view_of(const WeightFile& file, std::uint32_t number) {
  const TensorView tensor = file.tensor(number);
  const TensorPlace place = file.place(number);
  if (tensor.is_part() || !place.segment) return std::nullopt;
  return View{*place.segment,
              place.offset_bytes,
              tensor.dtype(),
              {tensor.shape().begin(), tensor.shape().end()},
              {tensor.strides().begin(), tensor.strides().end()}};
}

struct Place {
  std::uint32_t module = 0;
  std::string path;
};

// Of the tensors that are attributes of the archive's objects: their dotted names.
class NamesInModules {
 public:
  explicit NamesInModules(const ValueGraph& values)
      : values_(values),
        steps_left_(format::NamingLimits(values, format::find_holders(values)).steps) {}

  std::unordered_set<std::string> find() {
    std::vector<Place> stack{{values_.root(), ""}};
    while (!stack.empty() && steps_left_ > 0) {
      const Place place = std::move(stack.back());
      stack.pop_back();
      visit(place, stack);
    }
    return steps_left_ > 0 ? std::move(names_) : std::unordered_set<std::string>();
  }

 private:
  void visit(const Place& place, std::vector<Place>& stack) {
    const std::uint32_t state = values_.items(place.module)[format::kOpaqueState];
    if (!is_mapping(values_.node(state).kind)) return;
    const auto items = values_.items(state);
    for (std::size_t i = 0; i + 1 < items.size() && steps_left_ > 0; i += 2) {
      --steps_left_;
      const auto component = format::path_component(values_, items[i]);
      const ValueKind kind = values_.node(items[i + 1]).kind;
      if (!component) continue;
      std::string path = format::joined_path(place.path, *component);
      if (kind == ValueKind::kTensor) {
        names_.insert(std::move(path));
      } else if (kind == ValueKind::kOpaque) {
        stack.push_back({items[i + 1], std::move(path)});
      }
    }
  }

  const ValueGraph& values_;
  std::uint64_t steps_left_;
  std::unordered_set<std::string> names_;
};

}  // namespace

std::vector<bool> find_other_names(const WeightFile& file, const ValueGraph& values) {
  const std::unordered_set<std::string> names = NamesInModules(values).find();
  std::vector<bool> are_others(file.tensor_count(), false);
  std::set<View> views;
  for (std::uint32_t number = 0; number < file.tensor_count(); ++number) {
    are_others[number] = !names.contains(std::string(file.name(number)));
    const auto view = view_of(file, number);
    if (view && !are_others[number]) views.insert(*view);
  }
  for (std::uint32_t number = 0; number < file.tensor_count(); ++number) {
    const auto view = are_others[number] ? view_of(file, number) : std::nullopt;
    are_others[number] = view && views.contains(*view);
  }
  return are_others;
}

}  // namespace weightmap::convert
