// SPDX-License-Identifier: Apache-2.0
// Two passes over the graph without recursion: one up, children first, finds what cannot be
// written; one down from the root, in the order of the checkpoint, finds what is.
#include "convert/export_selection.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "base/text.h"
#include "checkpoint/globals.h"
#include "checkpoint/jagged.h"
#include "checkpoint/torch_classes.h"
#include "convert/value_paths.h"
#include "format/naming.h"

namespace weightmap::convert {
namespace {

// From "module\nname".
checkpoint::GlobalName global_in(std::string_view text) {
  const std::size_t newline = text.find('\n');
  return {text.substr(0, newline), text.substr(newline + 1)};
}

// An object that its class or function makes again from arguments and a state. What a weight file
// says of a class is not believed: it has to be one that is known here, too.
bool is_plain_data(const ValueGraph& values, std::uint32_t node) {
  const checkpoint::GlobalName name = global_in(values.text(node));
  const auto parts = values.items(node);
  const auto is = [&](std::uint32_t part, ValueKind kind) {
    return values.node(parts[part]).kind == kind;
  };
  return checkpoint::class_of(name).kind == ValueKind::kObject &&
         checkpoint::trust_in(name) != checkpoint::GlobalTrust::kAttack &&
         is(0, ValueKind::kTuple) && is(1, ValueKind::kNone) && is(3, ValueKind::kNone) &&
         is(4, ValueKind::kNone);
}

// What makes tensors that have no storage.
bool makes_wrapper(const checkpoint::GlobalName& function) {
  return function == checkpoint::GlobalName{"torch._utils", "_rebuild_wrapper_subclass"} ||
         function == checkpoint::kRebuildJagged || function == checkpoint::kJaggedClass;
}

// A tensor of a subclass inside of another: `_rebuild_from_type_v2(function, class, arguments,
// state)`.
bool is_wrapper(const ValueGraph& values, std::uint32_t node) {
  const auto parts = values.items(node);
  if (values.text(node) != "torch._tensor\n_rebuild_from_type_v2" ||
      values.node(parts[0]).kind != ValueKind::kTuple) {
    return false;
  }
  const auto arguments = values.items(parts[0]);
  const auto is = [&](std::size_t place, ValueKind kind) {
    return values.node(arguments[place]).kind == kind;
  };
  const auto is_none = [&](std::uint32_t part) {
    return values.node(part).kind == ValueKind::kNone;
  };
  return arguments.size() == 4 && is(0, ValueKind::kGlobal) && is(1, ValueKind::kGlobal) &&
         is(2, ValueKind::kTuple) && makes_wrapper(global_in(values.text(arguments[0]))) &&
         std::ranges::all_of(parts.subspan(1), is_none);
}

// Nothing: the state does not have them all.
std::vector<std::uint32_t> jagged_arguments(const ValueGraph& values, std::uint32_t node) {
  std::vector<std::uint32_t> arguments;
  for (const checkpoint::JaggedArgument& argument : checkpoint::kJaggedArguments) {
    const std::uint32_t state = values.children(node).back();
    const auto found = checkpoint::jagged_item(values, state, argument.attribute);
    if (!found) return {};
    arguments.push_back(*found);
  }
  return arguments;
}

// Of a tensor of a subclass: what holds its parts is its state.
bool has_all_it_needs(const CompositeView& composite,
                      const ValueGraph& values,
                      std::uint32_t node) {
  if (composite.class_name().empty()) return false;
  const bool has_state = values.node(node).has_attributes;
  if (is_jagged(composite)) return has_state && !jagged_arguments(values, node).empty();
  if (!composite.integers().empty()) return has_state;
  const auto data = composite.part("values");
  return data && !data->is_uninitialized();
}

bool is_of_unknown_class(const WeightFile& file, const ValueGraph& values, std::uint32_t node) {
  const ValueNode& value = values.node(node);
  if (value.kind == ValueKind::kObject) {
    return !is_plain_data(values, node) && !is_wrapper(values, node);
  }
  if (!is_of_subclass(file, value)) return value.kind == ValueKind::kOpaque;
  return !has_all_it_needs(file.composite(static_cast<std::uint32_t>(value.number)), values, node);
}

// A plain dict, a list ... has none in Python; nor has a tensor without a shape when it is pickled.
bool can_have_attributes(const WeightFile& file, const ValueNode& node) {
  if (node.kind == ValueKind::kTensor) {
    return !file.tensor(static_cast<std::uint32_t>(node.number)).is_uninitialized();
  }
  if (node.kind == ValueKind::kComposite) return true;
  return is_mapping(node.kind) && node.kind != ValueKind::kDict;
}

class Selector {
 public:
  Selector(const WeightFile& file, const ValueGraph& values)
      : file_(file), values_(values), paths_(values) {
    selection_.is_opaque.assign(values.size(), false);
    selection_.is_clean.assign(values.size(), true);
    selection_.holders.assign(values.size(), 0);
    selection_.has_attributes.assign(values.size(), false);
  }

  Result<Selection> run(bool drop_opaque) {
    find_unclean();
    walk();
    if (!opaque_.empty() && (!drop_opaque || selection_.is_opaque[values_.root()]))
      return refusal();
    const std::vector<std::uint32_t> lost = lost_tensors();
    if (!drop_opaque) {
      const auto found = std::ranges::find_if(lost, [this](auto node) { return !is_buffer(node); });
      if (found != lost.end()) return is_in_no_state_dict(*found);
    }
    note_dropped(lost);
    return std::move(selection_);
  }

 private:
  void find_unclean() {
    const auto clean = [this](std::uint32_t node) -> bool { return selection_.is_clean[node]; };
    for (std::uint32_t node = 0; node < values_.size(); ++node) {
      const bool is_around_one = !std::ranges::all_of(values_.children(node), clean);
      // An object is made from all that it has, or not at all.
      const ValueNode& value = values_.node(node);
      const bool is_object = value.kind == ValueKind::kObject || is_of_subclass(file_, value);
      selection_.is_opaque[node] =
          is_of_unknown_class(file_, values_, node) || (is_object && is_around_one);
      selection_.is_clean[node] = !selection_.is_opaque[node] && !is_around_one;
    }
  }

  void walk() {
    std::vector<bool> seen(values_.size(), false);
    std::vector<std::uint32_t> stack{values_.root()};
    selection_.holders[values_.root()] = 1;
    if (selection_.is_opaque[values_.root()]) opaque_.push_back(values_.root());
    while (!stack.empty()) {
      const std::uint32_t node = stack.back();
      stack.pop_back();
      if (seen[node]) continue;
      seen[node] = true;
      if (!selection_.is_opaque[node]) visit(node);
      stack.insert(stack.end(), kept_.rbegin(), kept_.rend());
      kept_.clear();
    }
  }

  void visit(std::uint32_t node) {
    for (const std::uint32_t item : written_items(file_, values_, selection_, node)) {
      if (item != kDroppedItem) hold(node, item);
    }
    for (const std::uint32_t child : values_.children(node)) {
      if (selection_.is_opaque[child] && !paths_.knows(child)) opaque_.push_back(child);
      paths_.note(node, child);
    }
    const ValueNode& value = values_.node(node);
    if (!value.has_attributes) return;
    if (!can_have_attributes(file_, value)) return without_attributes_.push_back(node);
    selection_.has_attributes[node] = true;
    hold(node, values_.children(node).back());
  }

  void hold(std::uint32_t parent, std::uint32_t child) {
    paths_.note(parent, child);
    ++selection_.holders[child];
    kept_.push_back(child);
  }

  std::string class_of(std::uint32_t node) const {
    const ValueNode& value = values_.node(node);
    if (value.kind != ValueKind::kComposite) return dotted(values_.text(node));
    return std::string(file_.composite(static_cast<std::uint32_t>(value.number)).class_name());
  }

  Error refusal() const {
    std::set<std::string> classes;
    for (const std::uint32_t node : opaque_)
      classes.insert(quoted(class_of(node)));
    std::string list;
    for (const std::string& name : classes)
      list += concat(list.empty() ? "" : ", ", name);
    const std::string place = paths_.path_to(opaque_.front());
    return {ErrorCode::kUnsupported,
            concat(place.empty() ? "the whole checkpoint" : quoted(place),
                   " is an object of a class that is not known, which is never written into a "
                   "pickle (all such classes: ",
                   list,
                   place.empty() ? "); drop_opaque leaves all out but its tensors"
                                 : "); drop_opaque leaves them out")};
  }

  // Those that only what is left out had: an opaque object, or a module beside its state dict.
  std::vector<std::uint32_t> lost_tensors() const {
    std::vector<std::uint32_t> lost;
    for (std::uint32_t node = 0; node < values_.size(); ++node) {
      if (format::is_tensor(values_.node(node).kind) && selection_.holders[node] == 0 &&
          !selection_.is_opaque[node])
        lost.push_back(node);
    }
    return lost;
  }

  // One that is not persistent: its module makes it again.
  bool is_buffer(std::uint32_t node) const {
    const ValueNode& value = values_.node(node);
    const auto number = static_cast<std::uint32_t>(value.number);
    return value.kind == ValueKind::kTensor ? file_.tensor(number).is_buffer()
                                            : file_.composite(number).is_buffer();
  }

  std::string name_of(std::uint32_t node) const {
    const ValueNode& value = values_.node(node);
    const auto number = static_cast<std::uint32_t>(value.number);
    return std::string(value.kind == ValueKind::kTensor ? file_.name(number)
                                                        : file_.composite_name(number));
  }

  Error is_in_no_state_dict(std::uint32_t node) const {
    return {ErrorCode::kUnsupported,
            concat(quoted(name_of(node)),
                   " is a tensor that is in no state dict, which is what is written of a module; "
                   "drop_opaque leaves such out")};
  }

  void note_dropped(const std::vector<std::uint32_t>& lost) {
    for (const std::uint32_t node : opaque_) {
      selection_.dropped.push_back(concat(paths_.path_to(node), ": an object of ", class_of(node)));
    }
    for (const std::uint32_t node : without_attributes_) {
      const std::string path = paths_.path_to(node);
      selection_.dropped.push_back(concat(path.empty() ? "the top" : path, ": attributes of a ",
                                          value_kind_name(values_.node(node).kind)));
    }
    for (const std::uint32_t node : lost)
      selection_.dropped.push_back(concat(name_of(node), ": a tensor"));
  }

  const WeightFile& file_;
  const ValueGraph& values_;
  ValuePaths paths_;
  std::vector<std::uint32_t> kept_;    // children of the node that is visited
  std::vector<std::uint32_t> opaque_;  // in the order of the checkpoint
  std::vector<std::uint32_t> without_attributes_;
  Selection selection_;
};

}  // namespace

std::string dotted(std::string_view global) {
  std::string text(global);
  std::ranges::replace(text, '\n', '.');
  return text;
}

bool is_of_subclass(const WeightFile& file, const ValueNode& node) {
  return node.kind == ValueKind::kComposite &&
         file.composite(static_cast<std::uint32_t>(node.number)).kind() ==
             CompositeKind::kWrapperSubclass;
}

Result<Selection> select_values(const WeightFile& file,
                                const ValueGraph& values,
                                bool drop_opaque) {
  return Selector(file, values).run(drop_opaque);
}

bool is_jagged(const CompositeView& composite) {
  return composite.kind() == CompositeKind::kWrapperSubclass &&
         composite.class_name() == checkpoint::global_text(checkpoint::kJaggedClass) &&
         composite.integers().size() == 1 && composite.shape().size() == 1;
}

std::vector<std::uint32_t> written_items(const WeightFile& file,
                                         const ValueGraph& values,
                                         const Selection& selection,
                                         std::uint32_t node) {
  const ValueKind kind = values.node(node).kind;
  if (kind == ValueKind::kTensor) return {};
  if (kind == ValueKind::kComposite) {
    const auto number = static_cast<std::uint32_t>(values.node(node).number);
    return is_jagged(file.composite(number)) ? jagged_arguments(values, node)
                                             : std::vector<std::uint32_t>();
  }
  const auto items = values.items(node);
  std::vector<std::uint32_t> written;
  written.reserve(items.size());
  if (kind == ValueKind::kObject) {
    written.push_back(items[0]);
    if (values.node(items[2]).kind != ValueKind::kNone) written.push_back(items[2]);
    return written;
  }
  if (is_mapping(kind)) {
    for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
      if (!selection.is_clean[items[i]] || selection.is_opaque[items[i + 1]]) continue;
      written.push_back(items[i]);
      written.push_back(items[i + 1]);
    }
    return written;
  }
  const bool is_set = kind == ValueKind::kSet || kind == ValueKind::kFrozenSet;
  for (const std::uint32_t item : items) {
    if (!selection.is_opaque[item] && (!is_set || selection.is_clean[item])) {
      written.push_back(item);
    } else if (!is_set) {
      written.push_back(kDroppedItem);
    }
  }
  return written;
}

ValueGraph values_of_names(const WeightFile& file, const std::vector<bool>& left_out) {
  ValueGraph values;
  std::vector<std::uint32_t> items;
  for (std::uint32_t number = 0; number < file.tensor_count(); ++number) {
    if (file.tensor(number).is_part() || (!left_out.empty() && left_out[number])) continue;
    items.push_back(values.add_text(ValueKind::kStr, file.name(number)));
    items.push_back(values.add_number(ValueKind::kTensor, number));
  }
  for (std::uint32_t number = 0; number < file.composite_count(); ++number) {
    items.push_back(values.add_text(ValueKind::kStr, file.composite_name(number)));
    items.push_back(values.add_number(ValueKind::kComposite, number));
  }
  std::vector<std::uint32_t> versions;
  for (const ModuleVersion& module : file.modules()) {
    versions.push_back(values.add_text(ValueKind::kStr, module.path));
    const std::uint32_t version[] = {
        values.add_text(ValueKind::kStr, "version"),
        values.add_number(ValueKind::kInt, static_cast<std::uint64_t>(module.version))};
    versions.push_back(values.add_parent(ValueKind::kDict, version));
  }
  if (!versions.empty()) {
    const std::uint32_t attribute[] = {values.add_text(ValueKind::kStr, "_metadata"),
                                       values.add_parent(ValueKind::kOrderedDict, versions)};
    items.push_back(values.add_parent(ValueKind::kDict, attribute));
  }
  values.add_parent(ValueKind::kOrderedDict, items, {}, !versions.empty());
  return values;
}

}  // namespace weightmap::convert
