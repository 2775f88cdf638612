// SPDX-License-Identifier: Apache-2.0
#include "runtime/save_object.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace weightmap {
namespace {

constexpr std::uint32_t kNowhere = 0xFFFFFFFFU;

// Values that are copied once, whatever takes them.
struct SourceValues {
  ValueGraph graph;
  std::unordered_map<std::uint32_t, std::uint32_t> composites;  // their nodes
  std::unordered_map<std::uint32_t, std::uint32_t> copies;      // by node
};

class ObjectBuilder {
 public:
  Result<SaveObject> run(const StateDict& state_dict) {
    std::vector<std::uint32_t> items;
    for (const auto& [key, item] : state_dict) {
      key_ = key;
      items.push_back(add_text(key));
      const Result<std::uint32_t> node = add(item);
      if (!node) return node.error();
      items.push_back(*node);
    }
    const bool has_metadata = !state_dict.metadata().empty();
    if (has_metadata) items.push_back(add_metadata(state_dict.metadata()));
    object_.values.add_parent(ValueKind::kOrderedDict, items, {}, has_metadata);
    return std::move(object_);
  }

 private:
  Result<std::uint32_t> add(const StateItem& item) {
    if (item.tensor() != nullptr) return add_tensor(*item.tensor());
    if (item.composite() != nullptr) return add_composite(*item.composite());
    return add_value(*item.value());
  }

  // A tensor of a file is one object whatever the number of its keys.
  std::uint32_t add_tensor(const StateTensor& tensor) {
    const std::string_view name = tensor.view().name();
    if (name.empty()) return object_.values.add_number(ValueKind::kTensor, number_of(tensor));
    const auto [known, is_new] =
        tensor_nodes_.try_emplace({name.data(), tensor.view().flags()}, kNowhere);
    if (is_new) known->second = object_.values.add_number(ValueKind::kTensor, number_of(tensor));
    return known->second;
  }

  std::uint32_t number_of(const StateTensor& tensor) {
    object_.tensors.push_back(tensor);
    object_.keys.push_back(key_);
    return static_cast<std::uint32_t>(object_.tensors.size() - 1);
  }

  // Its attributes, a subclass's state among them, come along.
  Result<std::uint32_t> add_composite(const StateComposite& composite) {
    const auto [known, is_new] =
        composite_nodes_.try_emplace({composite.file.mapping().data(), composite.number}, kNowhere);
    if (!is_new) return known->second;
    const Result<SourceValues*> values = values_of(composite.file);
    if (!values) return values.error();
    const auto node = (*values)->composites.find(composite.number);
    if (node == (*values)->composites.end()) {
      return known->second = object_.values.add_number(ValueKind::kComposite, number_of(composite));
    }
    const WeightFile& file = composite.file;
    const auto tensor = [&](std::uint32_t number) { return StateTensor::of_file(file, number); };
    const auto of_file = [&](std::uint32_t number) { return StateComposite{file, number}; };
    return known->second = copy((*values)->graph, node->second, (*values)->copies, tensor, of_file);
  }

  std::uint32_t add_value(const StateValue& value) {
    const auto [known, is_new] = value_nodes_.try_emplace(&value.graph(), kNowhere);
    if (!is_new) return known->second;
    std::unordered_map<std::uint32_t, std::uint32_t> copies;
    const auto tensor = [&](std::uint32_t number) { return value.tensors()[number]; };
    const auto composite = [&](std::uint32_t number) { return value.composites()[number]; };
    return known->second = copy(value.graph(), value.graph().root(), copies, tensor, composite);
  }

  // A node and all below it that is not copied yet.
  template <typename TensorOf, typename CompositeOf>
  std::uint32_t copy(const ValueGraph& from,
                     std::uint32_t root,
                     std::unordered_map<std::uint32_t, std::uint32_t>& copies,
                     const TensorOf& tensor_of,
                     const CompositeOf& composite_of) {
    std::vector<std::uint32_t> nodes;
    const auto reach = [&](std::uint32_t node) {
      if (copies.try_emplace(node, kNowhere).second) nodes.push_back(node);
    };
    reach(root);
    for (std::size_t next = 0; next < nodes.size();) {  // there come more
      for (const std::uint32_t child : from.children(nodes[next++]))
        reach(child);
    }
    std::ranges::sort(nodes);  // children before parents
    std::vector<std::uint32_t> children;
    for (const std::uint32_t node : nodes) {
      ValueNode value = from.node(node);
      const auto place = static_cast<std::uint32_t>(value.number);
      children.clear();
      for (const std::uint32_t child : from.children(node))
        children.push_back(copies[child]);
      if (value.kind == ValueKind::kTensor && children.empty()) {
        copies[node] = add_tensor(tensor_of(place));
        continue;
      }
      if (value.kind == ValueKind::kTensor) value.number = number_of(tensor_of(place));
      if (value.kind == ValueKind::kComposite) value.number = number_of(composite_of(place));
      copies[node] = object_.values.add_node(value.kind, value.number, children, from.text(node),
                                             value.has_attributes);
    }
    return copies[root];
  }

  // Of a subclass, what its state holds are no parts yet: naming finds them there.
  std::uint32_t number_of(const StateComposite& composite) {
    const CompositeView view = composite.file.composite(composite.number);
    format::CompositeContent content{.kind = view.kind(),
                                     .dtype = view.dtype(),
                                     .flags = view.flags(),
                                     .shape = {view.shape().begin(), view.shape().end()},
                                     .reals = {view.reals().begin(), view.reals().end()},
                                     .integers = {view.integers().begin(), view.integers().end()},
                                     .class_name = std::string(view.class_name())};
    const bool is_subclass = view.kind() == CompositeKind::kWrapperSubclass;
    for (const CompositePart& part : view.parts()) {
      if (is_subclass && (part.role != "values" || !view.integers().empty())) continue;
      const std::uint32_t tensor = number_of(StateTensor::of_file(composite.file, part.number));
      content.parts.push_back({.role = std::string(part.role), .tensor = tensor});
    }
    object_.composites.push_back(std::move(content));
    return static_cast<std::uint32_t>(object_.composites.size() - 1);
  }

  Result<SourceValues*> values_of(const WeightFile& file) {
    const auto known = files_.find(file.mapping().data());
    if (known != files_.end()) return &known->second;
    Result<ValueGraph> graph = file.values();
    if (!graph) return graph.error();
    SourceValues& values = files_[file.mapping().data()];
    values.graph = std::move(*graph);
    for (std::uint32_t node = 0; node < values.graph.size(); ++node) {
      const ValueNode& value = values.graph.node(node);
      if (value.kind != ValueKind::kComposite) continue;
      values.composites.emplace(static_cast<std::uint32_t>(value.number), node);
    }
    return &values;
  }

  // {'_metadata': {path: {'version': 1, ...}}}
  std::uint32_t add_metadata(const OrderedMap<ModuleMetadata>& metadata) {
    const std::uint32_t name = add_text("_metadata");
    std::vector<std::uint32_t> modules;
    for (const auto& [path, module] : metadata) {
      key_ = path;
      modules.push_back(add_text(path));
      modules.push_back(add_module(module));
    }
    const std::uint32_t attribute[] = {name,
                                       object_.values.add_parent(ValueKind::kOrderedDict, modules)};
    return object_.values.add_parent(ValueKind::kDict, attribute);
  }

  std::uint32_t add_module(const ModuleMetadata& module) {
    std::vector<std::uint32_t> items;
    if (module.version) {
      items.push_back(add_text("version"));
      items.push_back(
          object_.values.add_number(ValueKind::kInt, static_cast<std::uint64_t>(*module.version)));
    }
    for (const auto& [key, value] : module.values) {
      items.push_back(add_text(key));
      items.push_back(add_value(value));
    }
    return object_.values.add_parent(ValueKind::kDict, items);
  }

  std::uint32_t add_text(std::string_view text) {
    return object_.values.add_text(ValueKind::kStr, text);
  }

  SaveObject object_;
  std::string key_;
  std::map<std::pair<const char*, std::uint16_t>, std::uint32_t> tensor_nodes_;
  std::map<std::pair<const std::byte*, std::uint32_t>, std::uint32_t> composite_nodes_;
  std::unordered_map<const ValueGraph*, std::uint32_t> value_nodes_;
  std::unordered_map<const std::byte*, SourceValues> files_;
};

}  // namespace

Result<SaveObject> object_to_save(const StateDict& state_dict) {
  return ObjectBuilder().run(state_dict);
}

}  // namespace weightmap
