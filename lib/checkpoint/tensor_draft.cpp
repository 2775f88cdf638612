// SPDX-License-Identifier: Apache-2.0
// The functions and the order of their arguments: torch/_utils.py, torch/_tensor.py and
// torch/nn/parameter.py from 1.6 to 2.13. A draft remembers its first failure, so that each
// function reads as the list of its arguments.
#include "checkpoint/tensor_draft.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/text.h"

namespace weightmap::checkpoint {
namespace {

constexpr int kMaxWrappers = 8;  // a parameter of a tensor of a type: three in any honest file

class DraftReader {
 public:
  DraftReader(const Pickle& pickle, TorchStorages& storages)
      : pickle_(pickle), storages_(storages) {}

  Result<TensorDraft> read(const PickleCall& call) {
    TensorDraft draft;
    read_call(call, draft);
    if (failure_) return *std::move(failure_);
    return draft;
  }

  using Rebuild = void (DraftReader::*)(TensorDraft&);
  struct Function {
    GlobalName name;
    Rebuild rebuild;             // none: not supported
    std::string_view kind = {};  // of tensor, when it is not supported
  };
  static const Function* find(const GlobalName& name);

 private:
  static const Function kFunctions[];

  void read_call(const PickleCall& call, TensorDraft& draft);
  void run(const GlobalName& name, std::span<const ValueId> arguments, TensorDraft& draft);

  void rebuild(TensorDraft& draft);
  void rebuild_v2(TensorDraft& draft);
  void rebuild_v3(TensorDraft& draft);
  void rebuild_meta(TensorDraft& draft);
  void rebuild_parameter(TensorDraft& draft);
  void rebuild_parameter_with_state(TensorDraft& draft);
  void rebuild_from_type(TensorDraft& draft);
  void parameter(TensorDraft& draft);
  void uninitialized_parameter(TensorDraft& draft);
  void uninitialized_buffer(TensorDraft& draft);

  const PickleValue& next(std::string_view what);
  bool has_next() const { return !arguments_.empty(); }
  bool boolean(std::string_view what);
  std::int64_t integer(std::string_view what);
  std::span<const ValueId> sizes(std::string_view what);
  Dtype dtype();
  GlobalName global(std::string_view what);
  void storage(TensorDraft& draft);
  void data(TensorDraft& draft);
  void no_hooks();
  void lazy_bits(TensorDraft& draft);
  void attributes(TensorDraft& draft);
  void old_state(const PickleCall& call, TensorDraft& draft);
  bool is_empty(const PickleValue& value) const;

  void fail(ErrorCode code, std::string_view message) {
    if (!failure_) failure_ = Error(code, concat(quoted(global_text(function_)), ": ", message));
  }
  void wrong(std::string_view what, std::string_view expected) {
    fail(ErrorCode::kCorrupt, concat(what, " is not ", expected));
  }

  const Pickle& pickle_;
  TorchStorages& storages_;
  std::span<const ValueId> arguments_;  // those of the function that are still to be read
  GlobalName function_;
  int wrappers_ = 0;
  std::optional<Error> failure_;
};

constexpr DraftReader::Function DraftReader::kFunctions[] = {
    {{"torch._utils", "_rebuild_tensor_v2"}, &DraftReader::rebuild_v2},
    {{"torch._utils", "_rebuild_tensor_v3"}, &DraftReader::rebuild_v3},
    {{"torch._utils", "_rebuild_tensor"}, &DraftReader::rebuild},
    {{"torch._utils", "_rebuild_parameter"}, &DraftReader::rebuild_parameter},
    {{"torch._utils", "_rebuild_parameter_with_state"}, &DraftReader::rebuild_parameter_with_state},
    {{"torch._utils", "_rebuild_meta_tensor_no_storage"}, &DraftReader::rebuild_meta},
    {{"torch._tensor", "_rebuild_from_type"}, &DraftReader::rebuild_from_type},
    {{"torch._tensor", "_rebuild_from_type_v2"}, &DraftReader::rebuild_from_type},
    {{"torch.nn.parameter", "Parameter"}, &DraftReader::parameter},
    {{"torch.nn.parameter", "UninitializedParameter"}, &DraftReader::uninitialized_parameter},
    {{"torch.nn.parameter", "UninitializedBuffer"}, &DraftReader::uninitialized_buffer},
    {{"torch._utils", "_rebuild_qtensor"}, nullptr, "a quantized tensor"},
    {{"torch._utils", "_rebuild_sparse_tensor"}, nullptr, "a sparse tensor"},
    {{"torch._utils", "_rebuild_sparse_csr_tensor"}, nullptr, "a sparse tensor"},
    {{"torch._utils", "_rebuild_nested_tensor"}, nullptr, "a nested tensor"},
    {{"torch.nested._internal.nested_tensor", "_rebuild_njt"}, nullptr, "a nested tensor"},
    {{"torch._utils", "_rebuild_wrapper_subclass"}, nullptr, "a tensor of a wrapper subclass"},
    {{"torch._utils", "_rebuild_device_tensor_from_cpu_tensor"},
     nullptr,
     "a tensor of a device without storages"},
    {{"torch._utils", "_rebuild_device_tensor_from_numpy"},
     nullptr,
     "a tensor of a device without storages"},
    {{"torch._utils", "_rebuild_xla_tensor"}, nullptr, "a tensor of a device without storages"},
};

const DraftReader::Function* DraftReader::find(const GlobalName& name) {
  const auto* found = std::ranges::find(kFunctions, name, &Function::name);
  return found == std::end(kFunctions) ? nullptr : found;
}

void DraftReader::read_call(const PickleCall& call, TensorDraft& draft) {
  const PickleValue& callable = pickle_.values[call.callable];
  function_ = callable.kind == PickleKind::kGlobal ? modern_name(pickle_.globals[callable.slot])
                                                   : GlobalName{"object", "__call__"};
  if (call.keyword_arguments != kNoValue || call.appended.size != 0 || call.set_items.size != 0) {
    return fail(ErrorCode::kUnsupported, "a tensor that is changed after it was made");
  }
  const GlobalName function = function_;
  run(function, pickle_.items_of(pickle_.values[call.arguments]), draft);
  function_ = function;
  if (call.state != kNoValue) old_state(call, draft);
}

void DraftReader::run(const GlobalName& name,
                      std::span<const ValueId> arguments,
                      TensorDraft& draft) {
  function_ = name;
  const Function* function = find(name);
  if (function == nullptr) return fail(ErrorCode::kUnsupported, "is not known to make a tensor");
  if (function->rebuild == nullptr) {
    return fail(ErrorCode::kUnsupported, concat("makes ", function->kind, ", which is not read"));
  }
  if (++wrappers_ > kMaxWrappers) {
    return fail(ErrorCode::kUnsupported, concat("more than ", kMaxWrappers, " calls for a tensor"));
  }
  arguments_ = arguments;
  (this->*function->rebuild)(draft);
  if (!failure_ && has_next()) fail(ErrorCode::kUnsupported, "has more arguments than are known");
}

void DraftReader::rebuild(TensorDraft& draft) {
  storage(draft);
  draft.offset = integer("the storage offset");
  draft.shape = sizes("the shape");
  draft.strides = sizes("the strides");
}

void DraftReader::rebuild_v2(TensorDraft& draft) {
  rebuild(draft);
  draft.tensor.requires_grad = boolean("requires_grad");
  no_hooks();
  lazy_bits(draft);
}

void DraftReader::rebuild_v3(TensorDraft& draft) {
  rebuild(draft);
  draft.tensor.requires_grad = boolean("requires_grad");
  no_hooks();
  draft.tensor.dtype = dtype();
  lazy_bits(draft);
}

void DraftReader::rebuild_meta(TensorDraft& draft) {
  draft.tensor.meta = true;
  draft.tensor.dtype = dtype();
  draft.shape = sizes("the shape");
  draft.strides = sizes("the strides");
  draft.tensor.requires_grad = boolean("requires_grad");
}

void DraftReader::rebuild_parameter(TensorDraft& draft) {
  data(draft);
  draft.tensor.is_parameter = true;
  draft.tensor.requires_grad = boolean("requires_grad");
  no_hooks();
}

void DraftReader::rebuild_parameter_with_state(TensorDraft& draft) {
  rebuild_parameter(draft);
  attributes(draft);
}

// (function, type, its arguments, state): for tensors with attributes, and for subclasses.
void DraftReader::rebuild_from_type(TensorDraft& draft) {
  const GlobalName function = global("the function");
  const GlobalName type = global("the type");
  const PickleValue& arguments = next("the arguments");
  const bool is_parameter = type == GlobalName{"torch.nn.parameter", "Parameter"};
  if (!failure_ && !is_parameter && type != GlobalName{"torch", "Tensor"}) {
    fail(ErrorCode::kUnsupported,
         concat("a tensor of the class ", quoted(global_text(type)), ", which is not read"));
  }
  if (arguments.kind != PickleKind::kTuple) wrong("the arguments", "a tuple");
  if (failure_) return;
  const auto rest = arguments_;
  const GlobalName self = function_;
  run(function, pickle_.items_of(arguments), draft);
  arguments_ = rest;
  function_ = self;
  draft.tensor.is_parameter |= is_parameter;
  attributes(draft);
}

// Before 1.0, and by hand: Parameter(data[, requires_grad]).
void DraftReader::parameter(TensorDraft& draft) {
  data(draft);
  draft.tensor.is_parameter = true;
  draft.tensor.requires_grad = has_next() ? boolean("requires_grad") : true;
}

void DraftReader::uninitialized_parameter(TensorDraft& draft) {
  uninitialized_buffer(draft);
  draft.tensor.is_parameter = true;
}

void DraftReader::uninitialized_buffer(TensorDraft& draft) {
  draft.tensor.uninitialized = true;
  draft.tensor.requires_grad = boolean("requires_grad");
}

const PickleValue& DraftReader::next(std::string_view what) {
  static const PickleValue missing{};
  if (failure_) return missing;
  if (!has_next()) {
    fail(ErrorCode::kCorrupt, concat(what, " is missing"));
    return missing;
  }
  const ValueId id = arguments_.front();
  arguments_ = arguments_.subspan(1);
  return pickle_.values[id];
}

bool DraftReader::boolean(std::string_view what) {
  const PickleValue& value = next(what);
  if (value.kind != PickleKind::kBool) wrong(what, "True or False");
  return !failure_ && value.integer != 0;
}

std::int64_t DraftReader::integer(std::string_view what) {
  const PickleValue& value = next(what);
  if (value.kind != PickleKind::kInt) wrong(what, "an integer of 64 bits");
  return failure_ ? 0 : value.integer;
}

// A tuple, a list, or a torch.Size of one of them.
std::span<const ValueId> DraftReader::sizes(std::string_view what) {
  const PickleValue* value = &next(what);
  if (value->kind == PickleKind::kCall) {
    const PickleCall& call = pickle_.calls[value->slot];
    const PickleValue& callable = pickle_.values[call.callable];
    const auto arguments = pickle_.items_of(pickle_.values[call.arguments]);
    const bool is_size = callable.kind == PickleKind::kGlobal && arguments.size() == 1 &&
                         pickle_.globals[callable.slot] == GlobalName{"torch", "Size"};
    if (is_size) value = &pickle_.values[arguments[0]];
  }
  const bool is_sequence = value->kind == PickleKind::kTuple || value->kind == PickleKind::kList;
  if (!is_sequence) wrong(what, "a tuple");
  return is_sequence ? pickle_.items_of(*value) : std::span<const ValueId>();
}

Dtype DraftReader::dtype() {
  const GlobalName name = global("the dtype");
  const auto found = name.module == "torch" ? dtype_from_name(name.name) : std::nullopt;
  if (!failure_ && !found) {
    fail(ErrorCode::kUnsupported,
         concat("the dtype ", quoted(global_text(name)), ", which is not known"));
  }
  return found.value_or(Dtype::kUInt8);
}

GlobalName DraftReader::global(std::string_view what) {
  const PickleValue& value = next(what);
  if (value.kind != PickleKind::kGlobal) wrong(what, "the name of a class or function");
  return failure_ ? GlobalName() : modern_name(pickle_.globals[value.slot]);
}

void DraftReader::storage(TensorDraft& draft) {
  const PickleValue& value = next("the storage");
  if (failure_) return;
  const auto mention = storages_.read(value);
  if (!mention) {
    failure_ = mention.error();
    return;
  }
  draft.tensor.dtype = mention->dtype;
  draft.tensor.storage = mention->storage;
  draft.tensor.meta = mention->is_meta;
  draft.begin_bytes = mention->begin_bytes;
  draft.storage_bytes = mention->size_bytes;
}

// The tensor that a parameter wraps: made by another call.
void DraftReader::data(TensorDraft& draft) {
  const PickleValue& value = next("the data");
  if (value.kind != PickleKind::kCall) wrong("the data", "a tensor");
  if (failure_) return;
  const auto rest = arguments_;
  const GlobalName self = function_;
  read_call(pickle_.calls[value.slot], draft);
  arguments_ = rest;
  function_ = self;
  if (!failure_ && draft.attributes != kNoValue) {
    fail(ErrorCode::kUnsupported, "a parameter around a tensor that has attributes of its own");
  }
}

// torch.save has written an empty dict here ever since tensors can have hooks.
void DraftReader::no_hooks() {
  const PickleValue& value = next("the hooks");
  if (!failure_ && !is_empty(value)) fail(ErrorCode::kUnsupported, "a tensor with backward hooks");
}

bool DraftReader::is_empty(const PickleValue& value) const {
  if (value.kind == PickleKind::kNone) return true;
  if (value.kind == PickleKind::kDict) return value.range.size == 0;
  if (value.kind != PickleKind::kCall) return false;
  const PickleCall& call = pickle_.calls[value.slot];
  return call.set_items.size == 0 && call.appended.size == 0 && call.state == kNoValue &&
         pickle_.values[call.arguments].range.size == 0;
}

// The optional {'conj': True, 'neg': True} of 2.0 and later.
void DraftReader::lazy_bits(TensorDraft& draft) {
  if (failure_ || !has_next()) return;
  const PickleValue& bits = next("the metadata");
  if (bits.kind == PickleKind::kNone) return;
  if (bits.kind != PickleKind::kDict) return wrong("the metadata", "a dict");
  const auto items = pickle_.items_of(bits);
  for (std::size_t i = 0; i < items.size(); i += 2) {
    const PickleValue& key = pickle_.values[items[i]];
    const PickleValue& value = pickle_.values[items[i + 1]];
    if (key.kind != PickleKind::kStr || value.kind != PickleKind::kBool) {
      return wrong("the metadata", "a dict of texts to True or False");
    }
    const std::string_view name = pickle_.text(key);
    if (name != "conj" && name != "neg") {
      return fail(ErrorCode::kUnsupported, concat("the metadata ", quoted(name)));
    }
    (name == "conj" ? draft.tensor.conj : draft.tensor.neg) = value.integer != 0;
  }
}

void DraftReader::attributes(TensorDraft& draft) {
  const ValueId id = failure_ || !has_next() ? kNoValue : arguments_.front();
  const PickleValue& state = next("the state");
  if (failure_ || state.kind == PickleKind::kNone) return;
  if (state.kind != PickleKind::kDict || draft.attributes != kNoValue) {
    return fail(ErrorCode::kUnsupported, "a state other than a dict of attributes");
  }
  if (state.range.size > 0) draft.attributes = id;
}

// (requires_grad, volatile, hooks), which Parameter.__setstate__ still takes.
void DraftReader::old_state(const PickleCall& call, TensorDraft& draft) {
  const PickleValue& state = pickle_.values[call.state];
  const bool is_parameter = function_ == GlobalName{"torch.nn.parameter", "Parameter"};
  if (!is_parameter || state.kind != PickleKind::kTuple || state.range.size != 3) {
    return fail(ErrorCode::kUnsupported, "a tensor with a state of this kind");
  }
  arguments_ = pickle_.items_of(state);
  draft.tensor.requires_grad = boolean("requires_grad");
  next("volatile");
  no_hooks();
}

}  // namespace

bool makes_tensor(const GlobalName& global) {
  return DraftReader::find(global) != nullptr;
}

Result<TensorDraft> read_tensor_call(const Pickle& pickle,
                                     TorchStorages& storages,
                                     const PickleCall& call) {
  return DraftReader(pickle, storages).read(call);
}

}  // namespace weightmap::checkpoint
