// SPDX-License-Identifier: Apache-2.0
// The functions and the order of their arguments: torch/_utils.py, torch/_tensor.py and
// torch/nn/parameter.py from 1.6 to 2.13. A draft remembers its first failure, so that each
// function reads as the list of its arguments.
#include "checkpoint/tensor_draft.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <span>
#include <string>
#include <string_view>

#include "base/text.h"
#include "checkpoint/call_reader.h"
#include "checkpoint/storage_class.h"

namespace weightmap::checkpoint {
namespace {

constexpr int kMaxWrappers = 8;  // a parameter of a tensor of a type: three in any honest file

class DraftReader : private CallReader {
 public:
  DraftReader(const Pickle& pickle, TorchStorages& storages)
      : CallReader(pickle), storages_(storages) {}

  Result<TensorDraft> read(const PickleCall& call) {
    TensorDraft draft;
    read_call(call, draft);
    if (has_failed()) return *failure();
    return draft;
  }

  Result<TensorDraft> read(const GlobalName& function, std::span<const ValueId> arguments) {
    TensorDraft draft;
    run(function, arguments, draft);
    if (has_failed()) return *failure();
    return draft;
  }

  using Rebuild = void (DraftReader::*)(TensorDraft&);
  struct Function {
    GlobalName name;
    Rebuild rebuild = nullptr;
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
  void rebuild_quantized(TensorDraft& draft);
  void rebuild_sparse(TensorDraft& draft);
  void rebuild_nested(TensorDraft& draft);
  void rebuild_parameter(TensorDraft& draft);
  void rebuild_parameter_with_state(TensorDraft& draft);
  void rebuild_from_type(TensorDraft& draft);
  void parameter(TensorDraft& draft);
  void variable(TensorDraft& draft);
  void uninitialized_parameter(TensorDraft& draft);
  void uninitialized_buffer(TensorDraft& draft);

  void storage(TensorDraft& draft);
  void data(TensorDraft& draft);
  void lazy_bits(TensorDraft& draft);
  void attributes(TensorDraft& draft);
  void old_state(const PickleCall& of, TensorDraft& draft);
  void old_tensor(const PickleCall& of, Dtype dtype, TensorDraft& draft);

  TorchStorages& storages_;
  int wrappers_ = 0;
};

constexpr GlobalName kParameter{"torch.nn.parameter", "Parameter"};
constexpr GlobalName kVariable{"torch.autograd.variable", "Variable"};

// Whether a call of a tensor class makes a tensor as 0.1 pickled them.
bool is_old_tensor(const Pickle& pickle, const PickleCall& call) {
  if (call.state == kNoValue || !pickle.items_of(pickle.values[call.arguments]).empty()) {
    return false;
  }
  const PickleValue& state = pickle.values[call.state];
  return state.kind == PickleKind::kTuple && state.range.size == 4;
}

bool is_plain_type(const GlobalName& type) {
  return type == kParameter || type == GlobalName{"torch", "Tensor"};
}

constexpr DraftReader::Function DraftReader::kFunctions[] = {
    {{"torch._utils", "_rebuild_tensor_v2"}, &DraftReader::rebuild_v2},
    {{"torch._utils", "_rebuild_tensor_v3"}, &DraftReader::rebuild_v3},
    {{"torch._utils", "_rebuild_tensor"}, &DraftReader::rebuild},
    {{"torch._utils", "_rebuild_parameter"}, &DraftReader::rebuild_parameter},
    {{"torch._utils", "_rebuild_parameter_with_state"}, &DraftReader::rebuild_parameter_with_state},
    {{"torch._utils", "_rebuild_meta_tensor_no_storage"}, &DraftReader::rebuild_meta},
    {{"torch._utils", "_rebuild_qtensor"}, &DraftReader::rebuild_quantized},
    {{"torch._utils", "_rebuild_sparse_tensor"}, &DraftReader::rebuild_sparse},
    {{"torch._utils", "_rebuild_sparse_csr_tensor"}, &DraftReader::rebuild_sparse},
    {{"torch._utils", "_rebuild_nested_tensor"}, &DraftReader::rebuild_nested},
    {{"torch._tensor", "_rebuild_from_type"}, &DraftReader::rebuild_from_type},
    {{"torch._tensor", "_rebuild_from_type_v2"}, &DraftReader::rebuild_from_type},
    {kParameter, &DraftReader::parameter},
    {kVariable, &DraftReader::variable},
    {{"torch.nn.parameter", "UninitializedParameter"}, &DraftReader::uninitialized_parameter},
    {{"torch.nn.parameter", "UninitializedBuffer"}, &DraftReader::uninitialized_buffer},
};

const DraftReader::Function* DraftReader::find(const GlobalName& name) {
  const auto* found = std::ranges::find(kFunctions, name, &Function::name);
  return found == std::end(kFunctions) ? nullptr : found;
}

void DraftReader::read_call(const PickleCall& call, TensorDraft& draft) {
  const PickleValue& callable = value(call.callable);
  const GlobalName function = callable.kind == PickleKind::kGlobal
                                  ? modern_name(pickle().globals[callable.slot])
                                  : GlobalName{"object", "__call__"};
  set_call({function, {}});
  if (call.keyword_arguments != kNoValue || call.appended.size != 0 || call.set_items.size != 0) {
    return fail(ErrorCode::kUnsupported, "a tensor that is changed after it was made");
  }
  if (const auto dtype = dtype_of_tensor_class(function)) return old_tensor(call, *dtype, draft);
  run(function, pickle().items_of(value(call.arguments)), draft);
  set_call({function, {}});
  if (call.state != kNoValue) old_state(call, draft);
}

void DraftReader::run(const GlobalName& name,
                      std::span<const ValueId> arguments,
                      TensorDraft& draft) {
  set_call({name, arguments});
  const Function* function = find(name);
  if (function == nullptr) return fail(ErrorCode::kUnsupported, "is not known to make a tensor");
  if (++wrappers_ > kMaxWrappers) {
    return fail(ErrorCode::kUnsupported, concat("more than ", kMaxWrappers, " calls for a tensor"));
  }
  (this->*function->rebuild)(draft);
  if (has_next()) fail(ErrorCode::kUnsupported, "has more arguments than are known");
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

// (storage, offset, shape, strides, quantizer, requires_grad, hooks)
void DraftReader::rebuild_quantized(TensorDraft& draft) {
  rebuild(draft);
  draft.composite = read_quantizer(*this);
  draft.tensor.requires_grad = boolean("requires_grad");
  no_hooks();
}

void DraftReader::rebuild_sparse(TensorDraft& draft) {
  draft.composite = is_script_sparse(*this)
                        ? read_script_sparse(*this, draft.shape, draft.tensor.requires_grad)
                        : read_sparse(*this, draft.shape);
}

void DraftReader::rebuild_nested(TensorDraft& draft) {
  draft.composite = read_nested(*this);
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
  const auto arguments = tuple("the arguments");
  if (!has_failed() && !is_plain_type(type)) {
    fail(ErrorCode::kUnsupported,
         concat("a tensor of the class ", quoted(global_text(type)), ", which is not read"));
  }
  if (has_failed()) return;
  const Call self = call();
  run(function, arguments, draft);
  set_call(self);
  draft.tensor.is_parameter |= type == kParameter;
  attributes(draft);
}

// Before 1.0, and by hand: Parameter(data[, requires_grad]).
void DraftReader::parameter(TensorDraft& draft) {
  data(draft);
  draft.tensor.is_parameter = true;
  draft.tensor.requires_grad = has_next() ? boolean("requires_grad") : true;
}

// Before 0.4: Variable(data), then its state.
void DraftReader::variable(TensorDraft& draft) {
  data(draft);
}

void DraftReader::uninitialized_parameter(TensorDraft& draft) {
  uninitialized_buffer(draft);
  draft.tensor.is_parameter = true;
}

void DraftReader::uninitialized_buffer(TensorDraft& draft) {
  draft.tensor.uninitialized = true;
  draft.tensor.requires_grad = boolean("requires_grad");
}

void DraftReader::storage(TensorDraft& draft) {
  const PickleValue& of = next("the storage");
  if (has_failed()) return;
  const auto mention = storages_.read(of);
  if (!mention) return fail(mention.error());
  draft.tensor.dtype = mention->dtype;
  draft.tensor.storage = mention->storage;
  draft.tensor.meta = mention->is_meta;
  draft.begin_bytes = mention->begin_bytes;
  draft.storage_bytes = mention->size_bytes;
}

// The tensor that a parameter wraps: made by another call.
void DraftReader::data(TensorDraft& draft) {
  const PickleValue& of = next("the data");
  if (of.kind != PickleKind::kCall) wrong("the data", "a tensor");
  if (has_failed()) return;
  const Call self = call();
  read_call(pickle().calls[of.slot], draft);
  set_call(self);
  if (!has_failed() && draft.attributes != kNoValue) {
    fail(ErrorCode::kUnsupported, "a parameter around a tensor that has attributes of its own");
  }
}

// The optional {'conj': True, 'neg': True} of 2.0 and later.
void DraftReader::lazy_bits(TensorDraft& draft) {
  if (has_failed() || !has_next()) return;
  const PickleValue& bits = next("the metadata");
  if (bits.kind == PickleKind::kNone) return;
  if (bits.kind != PickleKind::kDict) return wrong("the metadata", "a dict");
  const auto items = pickle().items_of(bits);
  constexpr std::size_t kMostItems = 4;  // conj and neg, each with a value
  if (items.size() > kMostItems) return wrong("the metadata", "a dict of conj and neg");
  for (std::size_t i = 0; i < items.size(); i += 2) {
    const PickleValue& key = value(items[i]);
    const PickleValue& bit = value(items[i + 1]);
    if (key.kind != PickleKind::kStr || bit.kind != PickleKind::kBool) {
      return wrong("the metadata", "a dict of texts to True or False");
    }
    const std::string_view name = pickle().text(key);
    if (name != "conj" && name != "neg") {
      return fail(ErrorCode::kUnsupported, concat("the metadata ", quoted(name)));
    }
    (name == "conj" ? draft.tensor.conj : draft.tensor.neg) = bit.integer != 0;
  }
}

void DraftReader::attributes(TensorDraft& draft) {
  const ValueId id = next_id("the state");
  if (id == kNoValue) return;
  const PickleValue& state = value(id);
  if (state.kind == PickleKind::kNone) return;
  if (state.kind != PickleKind::kDict || draft.attributes != kNoValue) {
    return fail(ErrorCode::kUnsupported, "a state other than a dict of attributes");
  }
  if (state.range.size > 0) draft.attributes = id;
}

// (requires_grad, volatile, hooks), which Parameter.__setstate__ still takes.
void DraftReader::old_state(const PickleCall& of, TensorDraft& draft) {
  const PickleValue& state = value(of.state);
  const bool has_one = call().function == kParameter || call().function == kVariable;
  if (!has_one || state.kind != PickleKind::kTuple || state.range.size != 3) {
    return fail(ErrorCode::kUnsupported, "a tensor with a state of this kind");
  }
  set_call({call().function, pickle().items_of(state)});
  draft.tensor.requires_grad = boolean("requires_grad");
  next("volatile");
  no_hooks();
}

// 0.1: torch.FloatTensor(), whose state is (storage, offset, shape, strides).
void DraftReader::old_tensor(const PickleCall& of, Dtype dtype, TensorDraft& draft) {
  if (!is_old_tensor(pickle(), of)) {
    return fail(ErrorCode::kUnsupported, "a tensor with a state of this kind");
  }
  set_call({call().function, pickle().items_of(value(of.state))});
  rebuild(draft);
  if (!has_failed() && draft.tensor.dtype != dtype) {
    fail(ErrorCode::kCorrupt, concat("a storage of ", dtype_name(draft.tensor.dtype)));
  }
}

bool is_from_type(const GlobalName& name) {
  return name.module == "torch._tensor" && name.name.starts_with("_rebuild_from_type");
}

bool wraps_data(const GlobalName& name) {
  return name == kParameter || name == kVariable ||
         (name.module == "torch._utils" && name.name.starts_with("_rebuild_parameter"));
}

// From (function, type, its arguments, state) to the function. False: a type that is not PyTorch's.
bool enter_type(const Pickle& pickle, GlobalName& name, std::span<const ValueId>& arguments) {
  if (arguments.size() < 3) return true;
  const PickleValue& function = pickle.values[arguments[0]];
  const PickleValue& type = pickle.values[arguments[1]];
  const PickleValue& inner = pickle.values[arguments[2]];
  if (type.kind != PickleKind::kGlobal || function.kind != PickleKind::kGlobal ||
      inner.kind != PickleKind::kTuple) {
    return true;
  }
  if (!is_plain_type(modern_name(pickle.globals[type.slot]))) return false;
  name = modern_name(pickle.globals[function.slot]);
  arguments = pickle.items_of(inner);
  return true;
}

}  // namespace

bool makes_tensor(const GlobalName& global) {
  return DraftReader::find(global) != nullptr || dtype_of_tensor_class(global).has_value();
}

// Follows parameters and types down to what they wrap. What is wrong on the way is left to the
// reader of the call.
bool makes_plain_tensor(const Pickle& pickle, const PickleCall& call) {
  const PickleCall* wrapper = &call;
  for (int depth = 0; depth < kMaxWrappers; ++depth) {
    const PickleValue& callable = pickle.values[wrapper->callable];
    if (callable.kind != PickleKind::kGlobal) return false;
    GlobalName name = modern_name(pickle.globals[callable.slot]);
    auto arguments = pickle.items_of(pickle.values[wrapper->arguments]);
    if (is_from_type(name) && !enter_type(pickle, name, arguments)) return false;
    if (!makes_tensor(name)) return false;
    if (dtype_of_tensor_class(name)) return is_old_tensor(pickle, *wrapper);
    if (!wraps_data(name) || arguments.empty()) return true;
    const PickleValue& data = pickle.values[arguments[0]];
    if (data.kind != PickleKind::kCall) return true;
    wrapper = &pickle.calls[data.slot];
  }
  return true;
}

Result<TensorDraft> read_tensor_call(const Pickle& pickle,
                                     TorchStorages& storages,
                                     const PickleCall& call) {
  return DraftReader(pickle, storages).read(call);
}

Result<TensorDraft> read_tensor_arguments(const Pickle& pickle,
                                          TorchStorages& storages,
                                          const GlobalName& function,
                                          std::span<const ValueId> arguments) {
  return DraftReader(pickle, storages).read(function, arguments);
}

}  // namespace weightmap::checkpoint
