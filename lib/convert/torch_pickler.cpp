// SPDX-License-Identifier: Apache-2.0
// A walk over the object graph with a stack of its own, in the order in which pickle writes it:
// what makes a container, its items in batches, its attributes. A value that several hold is
// written once and remembered, so that it stays one object.
#include "convert/torch_pickler.h"

#include <charconv>
#include <cstring>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/text.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/jagged.h"
#include "convert/composite_pickler.h"
#include "convert/pickle_writer.h"
#include "convert/tensor_pickler.h"
#include "convert/value_paths.h"
#include "format/naming.h"

namespace weightmap::convert {
namespace {

constexpr std::size_t kBatch = 1000;  // items an opcode takes, as Python's pickle has it

// A value whose items, or attributes, are being written.
struct Frame {
  std::uint32_t node = 0;
  std::vector<std::uint32_t> items;
  std::size_t next = 0;
  bool attributes_pending = false;
  bool is_parameter = false;
};

class Pickler {
 public:
  Pickler(const WeightFile& file, const ValueGraph& values, const Selection& selection)
      : file_(file),
        values_(values),
        selection_(selection),
        tensors_(file, out_),
        composites_(file, tensors_, out_) {}

  Result<TorchPickle> run() {
    Result<void> done = visit(values_.root());
    while (done && !frames_.empty()) {
      done = step();
    }
    if (!done) return done.error();
    return TorchPickle{out_.finish(), tensors_.storages(), tensor_count_};
  }

 private:
  Result<void> visit(std::uint32_t node);
  Result<void> visit_tensor(std::uint32_t node);
  Result<void> step();
  Result<void> item();
  void open(std::uint32_t node);
  void end_batch(const Frame& frame);
  Result<void> begin(std::uint32_t node);
  void begin_call(std::string_view module, std::string_view name);
  void make_object(const Frame& frame);
  void close(const Frame& frame);

  void leaf(std::uint32_t node);
  void complex(std::string_view text);
  void device(std::string_view text);
  Result<void> global(std::string_view text) { return tensors_.global(text); }
  std::uint32_t state_of(std::uint32_t node) const;

  // A shared value is remembered as soon as it is there.
  void remember(std::uint32_t node) {
    if (selection_.holders[node] > 1) memos_.emplace(node, out_.put());
  }

  const WeightFile& file_;
  const ValueGraph& values_;
  const Selection& selection_;
  PickleWriter out_;
  TensorPickler tensors_;
  CompositePickler composites_;
  std::uint32_t tensor_count_ = 0;
  std::vector<Frame> frames_;
  std::unordered_map<std::uint32_t, PickleWriter::MemoId> memos_;  // by node
};

// Whether its items are taken by so many, not all at once.
bool has_batches(ValueKind kind) {
  return kind != ValueKind::kTuple && kind != ValueKind::kSize && kind != ValueKind::kObject &&
         !format::is_tensor(kind);
}

// Whether it is there before its items are.
bool is_filled(ValueKind kind) {
  return kind == ValueKind::kList || kind == ValueKind::kDict || kind == ValueKind::kOrderedDict ||
         kind == ValueKind::kDefaultDict;
}

Result<void> Pickler::visit(std::uint32_t node) {
  if (node == kDroppedItem) {
    out_.none();
    return {};
  }
  const auto known = memos_.find(node);
  if (known != memos_.end()) {
    out_.get(known->second);
    return {};
  }
  switch (values_.node(node).kind) {
    case ValueKind::kTensor:
    case ValueKind::kComposite: return visit_tensor(node);
    case ValueKind::kGlobal: return global(values_.text(node));
    case ValueKind::kObject:
    case ValueKind::kList:
    case ValueKind::kTuple:
    case ValueKind::kSet:
    case ValueKind::kFrozenSet:
    case ValueKind::kSize:
    case ValueKind::kDict:
    case ValueKind::kOrderedDict:
    case ValueKind::kCounter:
    case ValueKind::kDefaultDict: {
      Result<void> begun = begin(node);
      if (begun) open(node);
      return begun;
    }
    default: leaf(node); return {};
  }
}

Result<void> Pickler::visit_tensor(std::uint32_t node) {
  const ValueNode& value = values_.node(node);
  const auto number = static_cast<std::uint32_t>(value.number);
  const bool is_strided = value.kind == ValueKind::kTensor;
  const bool with_attributes = selection_.has_attributes[node];
  const bool is_part = is_strided && file_.tensor(number).is_part();
  if (!is_part) ++tensor_count_;
  if (is_strided && file_.tensor(number).is_uninitialized()) {
    Result<void> written = tensors_.write(number);
    remember(node);
    return written;
  }
  const Rebuild rebuild = is_strided ? tensors_.rebuild_of(number) : composites_.rebuild_of(number);
  Result<void> begun = tensors_.begin(rebuild, with_attributes);
  if (!begun) return begun;
  if (with_attributes) {
    frames_.push_back({.node = node,
                       .items = written_items(file_, values_, selection_, node),
                       .attributes_pending = true,
                       .is_parameter = rebuild.is_parameter});
    return {};
  }
  if (rebuild.is_of_subclass()) out_.none();
  tensors_.end(rebuild.is_parameter, rebuild.is_of_subclass());
  remember(node);
  return {};
}

// What is written for the attributes: of a subclass, the state that they stand for.
std::uint32_t Pickler::state_of(std::uint32_t node) const {
  const std::uint32_t attributes = values_.children(node).back();
  const auto items = values_.items(attributes);
  const bool stands_for_state = is_of_subclass(file_, values_.node(node)) && items.size() == 2 &&
                                values_.node(items[0]).kind == ValueKind::kStr &&
                                values_.text(items[0]) == kStateAttribute;
  return stands_for_state ? items[1] : attributes;
}

void Pickler::open(std::uint32_t node) {
  frames_.push_back({.node = node,
                     .items = written_items(file_, values_, selection_, node),
                     .attributes_pending = selection_.has_attributes[node]});
}

// What stands before the items: the container itself, or the function that will take them.
Result<void> Pickler::begin(std::uint32_t node) {
  switch (values_.node(node).kind) {
    case ValueKind::kObject: return global(values_.text(node));
    case ValueKind::kSet: begin_call("builtins", "set"); break;
    case ValueKind::kFrozenSet: begin_call("builtins", "frozenset"); break;
    case ValueKind::kSize:
      out_.global("torch", "Size");
      out_.mark();
      break;
    case ValueKind::kTuple: out_.mark(); break;
    case ValueKind::kList: out_.empty_list(); break;
    case ValueKind::kCounter:
      out_.global("collections", "Counter");
      out_.empty_dict();
      break;
    case ValueKind::kOrderedDict:
      out_.global("collections", "OrderedDict");
      out_.empty_tuple();
      out_.reduce();
      break;
    case ValueKind::kDefaultDict: {
      out_.global("collections", "defaultdict");
      const std::string_view factory = values_.text(node);
      Result<void> named = factory.empty() ? Result<void>() : global(factory);
      if (!named) return named;
      factory.empty() ? out_.empty_tuple() : out_.tuple_of_1();
      out_.reduce();
      break;
    }
    default: out_.empty_dict(); break;
  }
  if (is_filled(values_.node(node).kind)) remember(node);
  return {};
}

void Pickler::begin_call(std::string_view module, std::string_view name) {
  out_.global(module, name);
  out_.empty_list();
}

Result<void> Pickler::step() {
  Frame& frame = frames_.back();
  if (frame.next < frame.items.size()) return item();
  const ValueNode& node = values_.node(frame.node);
  if (frame.next == frame.items.size()) {
    end_batch(frame);
    ++frame.next;
    close(frame);
  }
  if (frame.attributes_pending) {
    frame.attributes_pending = false;
    return visit(state_of(frame.node));
  }
  if (format::is_tensor(node.kind)) {
    tensors_.end(frame.is_parameter, true);
    remember(frame.node);
  } else if (selection_.has_attributes[frame.node]) {
    out_.build();
  }
  frames_.pop_back();
  return {};
}

// Pairs count as one item of a batch.
Result<void> Pickler::item() {
  Frame& frame = frames_.back();
  const ValueKind kind = values_.node(frame.node).kind;
  const std::size_t unit = is_mapping(kind) ? 2 : 1;
  if (kind == ValueKind::kObject && frame.next == 1) make_object(frame);
  if (kind == ValueKind::kComposite) out_.text(checkpoint::kJaggedArguments[frame.next].name);
  if (has_batches(kind) && frame.next % (kBatch * unit) == 0) {
    end_batch(frame);
    out_.mark();
  }
  return visit(frame.items[frame.next++]);
}

// From its arguments. One with a state and no arguments was made without calling its class.
void Pickler::make_object(const Frame& frame) {
  const bool is_bare = frame.items.size() > 1 && values_.items(frame.items[0]).empty();
  is_bare ? out_.new_object() : out_.reduce();
  remember(frame.node);
}

// Takes the items since the last mark into the container below it.
void Pickler::end_batch(const Frame& frame) {
  if (frame.next == 0) return;
  const ValueKind kind = values_.node(frame.node).kind;
  if (!has_batches(kind)) return;
  is_mapping(kind) ? out_.set_items() : out_.appends();
}

// What stands behind the items.
void Pickler::close(const Frame& frame) {
  const std::uint32_t node = frame.node;
  switch (values_.node(node).kind) {
    case ValueKind::kObject: return frame.items.size() > 1 ? out_.build() : make_object(frame);
    case ValueKind::kComposite:
      if (!frame.items.empty()) composites_.end_jagged();
      return;  // remembered when it has its attributes
    case ValueKind::kTuple: out_.tuple(); break;
    case ValueKind::kSize:
      out_.tuple();
      out_.tuple_of_1();
      out_.reduce();
      break;
    case ValueKind::kSet:
    case ValueKind::kFrozenSet:
    case ValueKind::kCounter:
      out_.tuple_of_1();
      out_.reduce();
      break;
    default: return;  // remembered before its items, or a tensor
  }
  remember(node);
}

void Pickler::leaf(std::uint32_t node) {
  const ValueNode& value = values_.node(node);
  const std::string_view text = values_.text(node);
  switch (value.kind) {
    case ValueKind::kBool: return out_.boolean(value.number != 0);
    case ValueKind::kInt: return out_.integer(values_.integer(node));
    case ValueKind::kFloat: return out_.real(values_.real(node));
    case ValueKind::kBigInt: return out_.big_integer(text);
    case ValueKind::kStr: out_.text(text); break;
    case ValueKind::kBytes: out_.bytes(text); break;
    case ValueKind::kByteArray:
      out_.global("builtins", "bytearray");
      out_.bytes(text);
      out_.tuple_of_1();
      out_.reduce();
      break;
    case ValueKind::kComplex: complex(text); break;
    case ValueKind::kDevice: device(text); break;
    case ValueKind::kDtype:
      return out_.global("torch", dtype_name(static_cast<Dtype>(value.number)));
    default: return out_.none();
  }
  remember(node);
}

void Pickler::complex(std::string_view text) {
  out_.global("builtins", "complex");
  for (const std::size_t place : {0U, 8U}) {
    double part = 0;
    std::memcpy(&part, text.data() + place, sizeof part);
    out_.real(part);
  }
  out_.tuple_of_2();
  out_.reduce();
}

// torch.device('cpu'), torch.device('cuda', 0)
void Pickler::device(std::string_view text) {
  out_.global("torch", "device");
  const std::size_t colon = text.find(':');
  std::int64_t index = 0;
  const bool has_index =
      colon != std::string_view::npos &&
      std::from_chars(text.data() + colon + 1, text.data() + text.size(), index).ptr ==
          text.data() + text.size();
  out_.text(has_index ? text.substr(0, colon) : text);
  if (has_index) out_.integer(index);
  has_index ? out_.tuple_of_2() : out_.tuple_of_1();
  out_.reduce();
}

}  // namespace

Result<TorchPickle> pickle_values(const WeightFile& file,
                                  const ValueGraph& values,
                                  const Selection& selection) {
  return Pickler(file, values, selection).run();
}

}  // namespace weightmap::convert
