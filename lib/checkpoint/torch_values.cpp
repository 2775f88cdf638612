// SPDX-License-Identifier: Apache-2.0
// A walk over the pickle's values from the root, children first, without recursion. Each value is
// visited once, so what is shared becomes one node. What a call makes is decided by the name of
// its function: a tensor, one of the types that ValueKind has, or else an opaque object, which
// keeps its arguments and its state. A type that is called in a way its own pickles never use
// becomes opaque, too: nothing is dropped.
#include "checkpoint/torch_values.h"

#include <algorithm>
#include <array>
#include <bit>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/text.h"
#include "checkpoint/graph_builder.h"
#include "checkpoint/jagged.h"
#include "checkpoint/subclass_draft.h"
#include "checkpoint/subclass_nodes.h"
#include "checkpoint/tensor_draft.h"
#include "checkpoint/text_calls.h"
#include "checkpoint/torch_classes.h"
#include "checkpoint/torch_tensors.h"
#include "checkpoint/value_keys.h"

namespace weightmap::checkpoint {
namespace {

using NodeId = std::uint32_t;
constexpr NodeId kUnseen = 0xFFFFFFFFU;
constexpr NodeId kOpen = 0xFFFFFFFEU;  // its children are being visited
constexpr std::string_view kReferenceToOuter = "a reference to the object around it";

// Every unit is a child, a size or a byte of text; an honest pickle has less than one a byte.
constexpr std::uint64_t kUnitsPerByte = 16;
constexpr std::uint64_t kSpareUnits = 1U << 16U;
constexpr std::uint64_t kMostUnits = 0xF0000000U;  // places in a graph have 32 bits

std::uint64_t units_for(const Pickle& pickle) {
  return std::min(kMostUnits, kSpareUnits + kUnitsPerByte * pickle.bytes.size());
}

// A value whose children are being visited.
struct Frame {
  ValueId value = kNoValue;
  Role role = Role::kPlain;
  ValueKind kind = ValueKind::kNone;
  std::uint32_t tensor = kUnseen;  // or composite
  // Places in ValueWalk::pending_: the children, the next one, and keys and values among them.
  std::uint32_t begin = 0;
  std::uint32_t next = 0;
  std::uint32_t pairs_begin = 0;
  std::uint32_t pairs_end = 0;
  std::uint32_t end = 0;
};

class ValueWalk {
 public:
  ValueWalk(const Pickle& pickle, const FindStorage& find_storage, Checkpoint& into)
      : pickle_(pickle),
        budget_(units_for(pickle)),
        graph_(budget_),
        tensors_(pickle, find_storage, budget_, into),
        subclass_nodes_(graph_, budget_, into),
        nodes_(pickle.values.size(), kUnseen),
        global_texts_(pickle.globals.size()) {
    for (const GlobalName& name : pickle.globals)
      classes_.push_back(class_of(modern_name(name)));
  }

  Result<ValueGraph> run();

 private:
  Result<void> visit(ValueId id);
  Result<void> visit_call(ValueId id, const PickleCall& call);
  Result<void> visit_tensor(ValueId id, const PickleCall& call);
  Result<void> visit_subclass(ValueId id, const PickleCall& call, const SubclassCall& subclass);
  Result<void> open(Frame frame);
  Result<void> leave();

  NodeId global_node(std::uint32_t slot);
  TextRange global_text(std::uint32_t slot);
  TextRange callable_text(const PickleCall& call);
  const Class& class_of_call(const PickleCall& call) const;
  std::optional<std::uint32_t> slot_of(ValueId id) const;

  void push(ValueId id) { push(std::span(&id, 1)); }
  void push(std::span<const ValueId> ids);
  bool push_mapping(const PickleCall& call, ValueKind kind, Frame& frame);
  bool push_argument_pairs(const PickleCall& call, ValueKind kind);
  bool push_pairs_of_list(const PickleValue& list);
  bool push_argument_items(const PickleCall& call);
  void push_opaque(const PickleCall& call, Frame& frame);

  NodeId reference_to(ValueId id);
  Result<NodeId> close(const Frame& frame);
  Result<NodeId> close_items(const Frame& frame);
  Result<NodeId> close_mapping(const Frame& frame);
  Result<NodeId> close_opaque(const Frame& frame);
  Result<NodeId> close_subclass(const Frame& frame);
  Result<std::optional<std::uint32_t>> add_wrapper(const SubclassCall& subclass, NodeId state);
  TextRange factory_text(const Frame& frame);

  std::string path() const;
  std::string key_text(ValueId id) const;
  std::uint32_t pending_end() const { return static_cast<std::uint32_t>(pending_.size()); }

  const Pickle& pickle_;
  Budget budget_;
  GraphBuilder graph_;
  TorchTensors tensors_;
  SubclassNodes subclass_nodes_;
  std::vector<NodeId> nodes_;            // by ValueId
  std::vector<Class> classes_;           // by place in Pickle::globals, as the next
  std::vector<TextRange> global_texts_;  // "module\nname", once it is used
  std::vector<Frame> frames_;
  std::vector<ValueId> pending_;  // the children of all frames
  std::vector<NodeId> children_;  // those of the frame that is being closed
  std::uint32_t subclasses_ = 0;  // frames of tensors of subclasses
};

Result<ValueGraph> ValueWalk::run() {
  auto done = visit(pickle_.root);
  while (done && !frames_.empty() && !budget_.is_spent()) {
    Frame& frame = frames_.back();
    done = frame.next == frame.end ? leave() : visit(pending_[frame.next++]);
  }
  if (!done) {
    const std::string place = path();
    return place.empty() ? done.error() : done.error().with_context(quoted(place));
  }
  if (budget_.is_spent()) {
    return Error(ErrorCode::kUnsupported, concat("the pickle unfolds to more than ", kUnitsPerByte,
                                                 " times its ", pickle_.bytes.size(), " bytes"));
  }
  return std::move(graph_).finish();
}

Result<void> ValueWalk::visit(ValueId id) {
  const PickleValue& value = pickle_.values[id];
  if (nodes_[id] == kOpen && value.kind != PickleKind::kCall) {
    return Error(ErrorCode::kUnsupported, "an object that refers to itself");
  }
  if (nodes_[id] != kUnseen) return {};
  const auto text = [&](ValueKind kind) { return graph_.add_text(kind, pickle_.text(value)); };
  const auto number = [&](ValueKind kind, auto bits) {
    return graph_.add_number(kind, std::bit_cast<std::uint64_t>(bits));
  };
  const auto items = [&](ValueKind kind) {
    Frame frame{.value = id, .kind = kind, .begin = pending_end()};
    push(pickle_.items_of(value));
    if (kind == ValueKind::kDict) {
      frame.pairs_begin = frame.begin;
      frame.pairs_end = pending_end();
    }
    return open(frame);
  };
  switch (value.kind) {
    case PickleKind::kNone: nodes_[id] = graph_.add_none(); break;
    case PickleKind::kBool: nodes_[id] = number(ValueKind::kBool, value.integer); break;
    case PickleKind::kInt: nodes_[id] = number(ValueKind::kInt, value.integer); break;
    case PickleKind::kFloat: nodes_[id] = number(ValueKind::kFloat, value.real); break;
    case PickleKind::kBigInt: nodes_[id] = text(ValueKind::kBigInt); break;
    case PickleKind::kStr: nodes_[id] = text(ValueKind::kStr); break;
    case PickleKind::kBytes: nodes_[id] = text(ValueKind::kBytes); break;
    case PickleKind::kByteArray: nodes_[id] = text(ValueKind::kByteArray); break;
    case PickleKind::kGlobal: nodes_[id] = global_node(value.slot); break;
    case PickleKind::kList: return items(ValueKind::kList);
    case PickleKind::kTuple: return items(ValueKind::kTuple);
    case PickleKind::kSet: return items(ValueKind::kSet);
    case PickleKind::kFrozenSet: return items(ValueKind::kFrozenSet);
    case PickleKind::kDict: return items(ValueKind::kDict);
    case PickleKind::kCall: return visit_call(id, pickle_.calls[value.slot]);
    case PickleKind::kPersistent:
      if (const auto slot = slot_of(id)) {
        nodes_[id] = global_node(*slot);
        break;
      }
      return Error(ErrorCode::kUnsupported, "a storage that is no tensor's");
  }
  return {};
}

Result<void> ValueWalk::open(Frame frame) {
  if (frames_.size() == PickleLimits::kMaxDepth) {
    return Error(ErrorCode::kUnsupported,
                 concat("values nested deeper than ", PickleLimits::kMaxDepth, " levels"));
  }
  nodes_[frame.value] = kOpen;
  frame.next = frame.begin;
  frame.end = pending_end();
  frames_.push_back(frame);
  if (frame.role == Role::kSubclass) ++subclasses_;
  return {};
}

Result<void> ValueWalk::leave() {
  const Frame frame = frames_.back();
  frames_.pop_back();
  if (frame.role == Role::kSubclass) --subclasses_;
  children_.clear();
  for (std::uint32_t i = frame.begin; i < frame.end; ++i) {
    const ValueId child = pending_[i];
    children_.push_back(nodes_[child] == kOpen ? reference_to(child) : nodes_[child]);
  }
  pending_.resize(frame.begin);
  const auto node = close(frame);
  if (!node) return node.error();
  nodes_[frame.value] = *node;
  return {};
}

// The graph has no cycles: a module that its own hook or child refers to is named there, and no
// more. REQUIRES: a call.
NodeId ValueWalk::reference_to(ValueId id) {
  const NodeId none = graph_.add_none();
  const NodeId what = graph_.add_text(ValueKind::kStr, kReferenceToOuter);
  const NodeId parts[] = {graph_.add_parent(ValueKind::kTuple, {&what, 1}), none, none, none, none};
  return graph_.add_parent(ValueKind::kOpaque, parts,
                           callable_text(pickle_.calls[pickle_.values[id].slot]));
}

// A dtype is pickled as the name of a global, too.
NodeId ValueWalk::global_node(std::uint32_t slot) {
  const GlobalName& name = classes_[slot].name;
  if (const auto dtype = name.module == "torch" ? dtype_from_name(name.name) : std::nullopt) {
    return graph_.add_number(ValueKind::kDtype, static_cast<std::uint64_t>(*dtype));
  }
  return graph_.add_parent(ValueKind::kGlobal, {}, global_text(slot));
}

// All nodes that name a class share the text; each pays for it, since copies of the graph may not.
TextRange ValueWalk::global_text(std::uint32_t slot) {
  TextRange& text = global_texts_[slot];
  const GlobalName& name = classes_[slot].name;
  if (text.size == 0) {
    text = graph_.store_text(concat(name.module, "\n", name.name));
  } else {
    budget_.spend(text.size);
  }
  return text;
}

const Class& ValueWalk::class_of_call(const PickleCall& call) const {
  static constexpr Class kOther{{}, Role::kOpaque, ValueKind::kOpaque};
  const auto slot = slot_of(call.callable);
  return slot ? classes_[*slot] : kOther;
}

// The place of a name in Pickle::globals. Of a module that was saved whole, the format from before
// 1.6 names the class by ('module', class, source file, source).
std::optional<std::uint32_t> ValueWalk::slot_of(ValueId id) const {
  const PickleValue& value = pickle_.values[id];
  if (value.kind == PickleKind::kGlobal) return value.slot;
  if (value.kind != PickleKind::kPersistent) return std::nullopt;
  const PickleValue& named = pickle_.values[value.slot];
  if (named.kind != PickleKind::kTuple || named.range.size != 4) return std::nullopt;
  const auto parts = pickle_.items_of(named);
  const PickleValue& what = pickle_.values[parts[0]];
  const PickleValue& global = pickle_.values[parts[1]];
  const bool is_module = what.kind == PickleKind::kStr && pickle_.text(what) == "module" &&
                         global.kind == PickleKind::kGlobal;
  return is_module ? std::optional(global.slot) : std::nullopt;
}

Result<void> ValueWalk::visit_call(ValueId id, const PickleCall& call) {
  const Class& of = class_of_call(call);
  if (of.role == Role::kTensor) {
    if (makes_plain_tensor(pickle_, call)) return visit_tensor(id, call);
    if (const auto subclass = subclass_call(pickle_, call)) {
      return visit_subclass(id, call, *subclass);
    }
  }
  const bool has_keywords = call.keyword_arguments != kNoValue;
  const bool is_changed =
      call.appended.size > 0 || call.set_items.size > 0 || call.state != kNoValue;
  Frame frame{.value = id, .role = of.role, .kind = of.kind, .begin = pending_end()};
  if (of.role == Role::kText && !has_keywords && !is_changed) {
    if (const auto text = text_of_call(pickle_, call, of.kind, budget_)) {
      nodes_[id] = graph_.add_text(of.kind, *text);
      return {};
    }
  }
  if (of.role == Role::kItems && !has_keywords && !is_changed && push_argument_items(call)) {
    return open(frame);
  }
  if (of.role == Role::kMapping && !has_keywords && push_mapping(call, of.kind, frame)) {
    return open(frame);
  }
  pending_.resize(frame.begin);
  push_opaque(call, frame);
  return open(frame);
}

Result<void> ValueWalk::visit_tensor(ValueId id, const PickleCall& call) {
  const auto tensor = tensors_.read(call);
  if (!tensor) return tensor.error();
  if (tensor->attributes == kNoValue) {
    nodes_[id] = graph_.add_number(tensor->kind, tensor->number);
    return {};
  }
  const Frame frame{.value = id,
                    .role = Role::kTensor,
                    .kind = tensor->kind,
                    .tensor = tensor->number,
                    .begin = pending_end()};
  push(tensor->attributes);
  return open(frame);
}

// Its children: of one over a storage the state, which may be missing; of any other the arguments.
Result<void> ValueWalk::visit_subclass(ValueId id,
                                       const PickleCall& call,
                                       const SubclassCall& subclass) {
  Frame frame{.value = id, .role = Role::kSubclass, .begin = pending_end()};
  if (subclass.is_strided()) {
    const auto tensor = tensors_.read_strided(subclass);
    if (!tensor) return tensor.error();
    frame.tensor = *tensor;
    push(subclass.state);
  } else {
    push(call.arguments);
  }
  return open(frame);
}

void ValueWalk::push(std::span<const ValueId> ids) {
  budget_.spend(ids.size());
  pending_.insert(pending_.end(), ids.begin(), ids.end());
}

// False: not the way in which such a type is pickled.
bool ValueWalk::push_mapping(const PickleCall& call, ValueKind kind, Frame& frame) {
  const bool has_attributes = call.state != kNoValue;
  if (call.appended.size > 0) return false;
  if (has_attributes && pickle_.values[call.state].kind != PickleKind::kDict) return false;
  if (!push_argument_pairs(call, kind)) return false;
  push(pickle_.items_of(call.set_items));
  frame.pairs_begin = frame.begin;
  frame.pairs_end = pending_end();
  if (has_attributes) push(call.state);
  return true;
}

bool ValueWalk::push_argument_pairs(const PickleCall& call, ValueKind kind) {
  const auto arguments = pickle_.items_of(pickle_.values[call.arguments]);
  if (arguments.empty()) return true;
  if (arguments.size() > 1) return false;
  const PickleValue& argument = pickle_.values[arguments[0]];
  if (kind == ValueKind::kDefaultDict) {
    return argument.kind == PickleKind::kGlobal || argument.kind == PickleKind::kNone;
  }
  if (argument.kind == PickleKind::kList) return push_pairs_of_list(argument);
  if (argument.kind != PickleKind::kDict) return false;
  push(pickle_.items_of(argument));
  return true;
}

// Python 2: OrderedDict([[key, value], [key, value] ...])
bool ValueWalk::push_pairs_of_list(const PickleValue& list) {
  for (const ValueId id : pickle_.items_of(list)) {
    const PickleValue& pair = pickle_.values[id];
    const bool is_pair =
        (pair.kind == PickleKind::kList || pair.kind == PickleKind::kTuple) && pair.range.size == 2;
    if (!is_pair) return false;
    push(pickle_.items_of(pair));
  }
  return true;
}

bool ValueWalk::push_argument_items(const PickleCall& call) {
  const auto arguments = pickle_.items_of(pickle_.values[call.arguments]);
  if (arguments.empty()) return true;
  const PickleValue& argument = pickle_.values[arguments[0]];
  if (arguments.size() > 1 ||
      (argument.kind != PickleKind::kList && argument.kind != PickleKind::kTuple)) {
    return false;
  }
  push(pickle_.items_of(argument));
  return true;
}

// What close_opaque takes apart again.
void ValueWalk::push_opaque(const PickleCall& call, Frame& frame) {
  frame.role = Role::kOpaque;
  frame.kind = class_of_call(call).kind;
  if (frame.kind != ValueKind::kObject) frame.kind = ValueKind::kOpaque;
  if (slot_of(call.callable)) {
    push(call.arguments);
  } else {
    push(call.callable);
    push(pickle_.items_of(pickle_.values[call.arguments]));
  }
  if (call.keyword_arguments != kNoValue) push(call.keyword_arguments);
  if (call.state != kNoValue) push(call.state);
  push(pickle_.items_of(call.appended));
  frame.pairs_begin = pending_end();
  push(pickle_.items_of(call.set_items));
  frame.pairs_end = pending_end();
}

Result<NodeId> ValueWalk::close(const Frame& frame) {
  switch (frame.role) {
    case Role::kTensor:
      return graph_.add_tensor_with_attributes(frame.kind, frame.tensor, children_[0]);
    case Role::kMapping: return close_mapping(frame);
    case Role::kSubclass: return close_subclass(frame);
    case Role::kOpaque: return close_opaque(frame);
    default: break;
  }
  return frame.kind == ValueKind::kDict ? close_mapping(frame) : close_items(frame);
}

Result<NodeId> ValueWalk::close_items(const Frame& frame) {
  if (frame.kind == ValueKind::kSet || frame.kind == ValueKind::kFrozenSet) {
    auto merged = merge_equal_items(graph_, budget_, children_);
    if (!merged) return merged.error();
  }
  const auto is_integer = [&](NodeId node) { return graph_.node(node).kind == ValueKind::kInt; };
  if (frame.kind == ValueKind::kSize && !std::ranges::all_of(children_, is_integer)) {
    return Error(ErrorCode::kCorrupt, "a torch.Size of what are no integers");
  }
  return graph_.add_parent(frame.kind, children_);
}

Result<NodeId> ValueWalk::close_mapping(const Frame& frame) {
  const bool has_attributes = frame.end > frame.pairs_end;
  const NodeId attributes = has_attributes ? children_.back() : kUnseen;
  if (has_attributes) children_.pop_back();
  auto merged = merge_equal_keys(graph_, budget_, children_);
  if (!merged) return merged.error();
  if (has_attributes) children_.push_back(attributes);
  return graph_.add_parent(frame.kind, children_, factory_text(frame), has_attributes);
}

// The name of a defaultdict's factory.
TextRange ValueWalk::factory_text(const Frame& frame) {
  if (frame.kind != ValueKind::kDefaultDict) return {};
  const PickleCall& call = pickle_.calls[pickle_.values[frame.value].slot];
  const auto arguments = pickle_.items_of(pickle_.values[call.arguments]);
  const PickleValue* factory = arguments.empty() ? nullptr : &pickle_.values[arguments[0]];
  const bool is_named = factory != nullptr && factory->kind == PickleKind::kGlobal;
  return is_named ? global_text(factory->slot) : TextRange{};
}

// An object made by calling what another object returned is an `operator.call` of that one.
TextRange ValueWalk::callable_text(const PickleCall& call) {
  const auto slot = slot_of(call.callable);
  return slot ? global_text(*slot) : graph_.store_text("operator\ncall");
}

Result<NodeId> ValueWalk::close_opaque(const Frame& frame) {
  const PickleCall& call = pickle_.calls[pickle_.values[frame.value].slot];
  const auto slot = slot_of(call.callable);
  std::span<const NodeId> left = children_;
  const auto take = [&](std::size_t count) {
    const auto taken = left.first(count);
    left = left.subspan(count);
    return taken;
  };
  const auto take_if = [&](bool there) { return there ? take(1)[0] : graph_.add_none(); };
  const std::size_t argument_count = pickle_.values[call.arguments].range.size;
  std::array<NodeId, kOpaqueChildren> parts{};
  parts[0] = slot ? take(1)[0] : graph_.add_parent(ValueKind::kTuple, take(1 + argument_count));
  parts[1] = take_if(call.keyword_arguments != kNoValue);
  parts[2] = take_if(call.state != kNoValue);
  const auto appended = take(call.appended.size);
  parts[3] = appended.empty() ? graph_.add_none() : graph_.add_parent(ValueKind::kList, appended);
  std::vector<NodeId> pairs(left.begin(), left.end());
  auto merged = merge_equal_keys(graph_, budget_, pairs);
  if (!merged) return merged.error();
  parts[4] = pairs.empty() ? graph_.add_none() : graph_.add_parent(ValueKind::kDict, pairs);
  return graph_.add_parent(frame.kind, parts, callable_text(call));
}

// A composite, if its parts are tensors; one inside of another, and any that a composite cannot
// say, is an object with what makes it.
Result<NodeId> ValueWalk::close_subclass(const Frame& frame) {
  const PickleCall& call = pickle_.calls[pickle_.values[frame.value].slot];
  const SubclassCall subclass = *subclass_call(pickle_, call);
  const TextRange name = global_text(*slot_of(call.callable));
  if (subclass.is_strided()) {
    if (subclasses_ == 0) {
      return subclass_nodes_.add_composite(tensors_.add_strided(subclass, frame.tensor),
                                           children_[0]);
    }
    // The tensor stands for the function and its arguments.
    const NodeId parts[] = {graph_.add_number(ValueKind::kTensor, frame.tensor),
                            global_node(*slot_of(subclass.type_value)), children_[0]};
    return subclass_nodes_.add_object(ValueKind::kOpaque,
                                      graph_.add_parent(ValueKind::kTuple, parts), name);
  }
  const NodeId state = graph_.children(children_[0])[3];
  const auto composite = add_wrapper(subclass, state);
  if (!composite) return composite.error();
  if (*composite) return subclass_nodes_.add_composite(**composite, state);
  const bool is_known = subclass.is_wrapper() || subclass.is_jagged();
  const ValueKind kind = is_known ? ValueKind::kObject : ValueKind::kOpaque;
  return subclass_nodes_.add_object(kind, children_[0], name);
}

// The composite that the tensor being closed is. Nothing: none can say it.
Result<std::optional<std::uint32_t>> ValueWalk::add_wrapper(const SubclassCall& subclass,
                                                            NodeId state) {
  using Composite = std::optional<std::uint32_t>;
  if (subclasses_ != 0) return Composite();
  if (subclass.is_jagged()) {
    const auto jagged = read_jagged(graph_, children_[0]);
    return jagged ? tensors_.add_jagged(*jagged) : Composite();
  }
  const auto wrapper = read_wrapper(pickle_, subclass);
  if (!wrapper || !subclass_nodes_.holds_tensor(state)) return Composite();
  const auto composite = tensors_.add_wrapper(subclass, *wrapper);
  return composite ? Result<Composite>(*composite) : composite.error();
}

// The dotted path to the value that is being visited, as far as a message shows it.
std::string ValueWalk::path() const {
  constexpr std::size_t kShownBytes = 1000;
  std::string path;
  for (const Frame& frame : frames_) {
    if (frame.next == frame.begin) continue;
    if (path.size() > kShownBytes) break;
    const std::uint32_t place = frame.next - 1;
    std::string step;
    if (place >= frame.pairs_begin && place < frame.pairs_end) {
      const bool is_value = (place - frame.pairs_begin) % 2 != 0;
      if (is_value) step = key_text(pending_[place - 1]);
    } else if (frame.role == Role::kPlain) {
      step = concat(place - frame.begin);
    }
    if (step.empty()) continue;
    if (!path.empty()) path += '.';
    path += step;
  }
  return path;
}

std::string ValueWalk::key_text(ValueId id) const {
  const PickleValue& key = pickle_.values[id];
  constexpr std::size_t kShownBytes = 1000;
  if (key.kind == PickleKind::kStr) return std::string(pickle_.text(key).substr(0, kShownBytes));
  if (key.kind == PickleKind::kInt) return concat(key.integer);
  return "?";
}

// Where storages were when they were saved: told, not kept.
void note_locations(const Pickle& pickle, Checkpoint& into) {
  constexpr std::size_t kMostLocations = 16;
  constexpr std::size_t kMostBytes = 64;
  for (const PickleValue& value : pickle.values) {
    if (value.kind != PickleKind::kPersistent) continue;
    const std::string_view location = location_of(pickle, value).substr(0, kMostBytes);
    const bool is_usual = location.empty() || location == "cpu" || location == "meta";
    if (!is_usual && into.locations.size() < kMostLocations) into.locations.emplace(location);
  }
}

}  // namespace

Result<void> read_torch_values(const Pickle& pickle,
                               const FindStorage& find_storage,
                               Checkpoint& into) {
  auto graph = ValueWalk(pickle, find_storage, into).run();
  if (!graph) return graph.error();
  into.values = *std::move(graph);
  note_locations(pickle, into);
  return {};
}

}  // namespace weightmap::checkpoint
