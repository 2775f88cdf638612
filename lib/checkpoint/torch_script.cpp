// SPDX-License-Identifier: Apache-2.0
// Two pickles (torch/csrc/jit/serialization, 1.2 to 2.13): data.pkl is the object of the outermost
// module, constants.pkl a tuple of what the code refers to by number. Storages of the first lie
// under data/, of the second under constants/.
#include "checkpoint/torch_script.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/text.h"
#include "checkpoint/pickle_rewrite.h"
#include "checkpoint/script_code.h"

namespace weightmap::checkpoint {
namespace {

constexpr std::string_view kObjectRecord = "data.pkl";
constexpr std::string_view kConstantsRecord = "constants.pkl";
constexpr std::uint64_t kMaxCodeBytes = std::uint64_t{64} << 20U;  // of all classes together
// Children of an opaque node (value_graph.h).
constexpr std::size_t kState = 2;
constexpr std::size_t kItemsSet = 4;

// Functions that give a list or dict its type: (container) or (container, text).
bool is_typing(const GlobalName& name) {
  constexpr std::array<std::string_view, 5> kTyping{"build_intlist", "build_tensorlist",
                                                    "build_doublelist", "build_boollist",
                                                    "restore_type_tag"};
  return name.module == "torch.jit._pickle" && std::ranges::count(kTyping, name.name) > 0;
}

// The container that such a call is around.
std::optional<ValueId> typed_container(const Pickle& pickle, const PickleValue& value) {
  if (value.kind != PickleKind::kCall) return std::nullopt;
  const PickleCall& call = pickle.calls[value.slot];
  const PickleValue& callable = pickle.values[call.callable];
  const auto arguments = pickle.items_of(pickle.values[call.arguments]);
  const bool is_plain = call.keyword_arguments == kNoValue && call.state == kNoValue &&
                        call.appended.size == 0 && call.set_items.size == 0;
  if (callable.kind != PickleKind::kGlobal || !is_typing(pickle.globals[callable.slot]) ||
      !is_plain || arguments.empty() || arguments.size() > 2) {
    return std::nullopt;
  }
  return arguments[0];
}

// A call comes after its arguments, so one pass resolves calls around calls.
void remove_types(Pickle& pickle) {
  std::vector<ValueId> stand_ins = no_stand_ins(pickle);
  for (ValueId id = 0; id < pickle.values.size(); ++id) {
    const auto container = typed_container(pickle, pickle.values[id]);
    if (container && *container < id) stand_ins[id] = stand_ins[*container];
  }
  redirect(pickle, stand_ins);
}

class TorchScript {
 public:
  TorchScript(TorchArchive archive, const ReadOptions& options)
      : archive_(std::move(archive)), options_(options) {}

  Result<Checkpoint> read();

 private:
  using Classes = std::map<std::string, ScriptClass, std::less<>>;

  Result<ValueGraph> read_values(std::string_view record, std::string_view folder);
  Result<void> mark_tensors();
  Result<void> mark(std::uint32_t module, std::uint32_t state);
  Result<const ScriptClass*> class_of(std::string_view global);
  Result<const Classes*> classes_of(std::string_view module);
  Result<void> add_constants(const ValueGraph& constants);

  ValueGraph& values() { return archive_.checkpoint().values; }

  TorchArchive archive_;
  ReadOptions options_;
  std::map<std::string, Classes, std::less<>> classes_;  // by module
  std::uint64_t code_bytes_ = 0;
};

Result<Checkpoint> TorchScript::read() {
  auto constants = read_values(kConstantsRecord, "constants/");
  if (!constants) return constants.error();
  auto object = read_values(kObjectRecord, "data/");
  if (!object) return object.error();
  values() = *std::move(object);
  if (auto done = mark_tensors(); !done) return done.error();
  if (auto done = add_constants(*constants); !done) return done.error();
  return std::move(archive_).finish("TorchScript archive");
}

Result<ValueGraph> TorchScript::read_values(std::string_view record, std::string_view folder) {
  auto pickle = archive_.read_pickle(record, options_);
  if (!pickle) return pickle.error();
  remove_types(pickle->pickle);
  if (auto done = archive_.read_values(pickle->pickle, record, folder); !done) return done.error();
  return std::move(values());
}

// A state belongs to one module; where a file lets several share one, the first is asked.
Result<void> TorchScript::mark_tensors() {
  const ValueGraph& graph = values();
  std::vector<bool> is_seen(graph.size(), false);
  for (std::uint32_t node = 0; node < graph.size(); ++node) {
    if (graph.node(node).kind != ValueKind::kOpaque) continue;
    const std::uint32_t state = graph.children(node)[kState];
    if (graph.node(state).kind != ValueKind::kDict || is_seen[state]) continue;
    is_seen[state] = true;
    if (auto done = mark(node, state); !done) return done;
  }
  return {};
}

// A tensor that is one module's parameter and another's buffer is a parameter.
Result<void> TorchScript::mark(std::uint32_t module, std::uint32_t state) {
  const ValueGraph& graph = values();
  const auto found = class_of(graph.text(module));
  if (!found) return found.error();
  if (*found == nullptr) return {};
  const auto items = graph.items(state);
  const auto has = [](const std::vector<std::string>& names, std::string_view name) {
    return std::ranges::binary_search(names, name);
  };
  for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
    const ValueNode& value = graph.node(items[i + 1]);
    const std::string_view name = graph.text(items[i]);
    const auto mark = [&](auto& of) {
      of.is_parameter = of.is_parameter || has((*found)->parameters, name);
      of.is_buffer = !of.is_parameter && (of.is_buffer || has((*found)->buffers, name));
    };
    Checkpoint& checkpoint = archive_.checkpoint();
    if (value.kind == ValueKind::kTensor) mark(checkpoint.tensors[value.number]);
    if (value.kind == ValueKind::kComposite) mark(checkpoint.composites[value.number]);
  }
  return {};
}

// Of `__torch__.a.b\nName`, in code/__torch__/a/b.py. Null: none of TorchScript's classes.
Result<const ScriptClass*> TorchScript::class_of(std::string_view global) {
  const ScriptClass* none = nullptr;
  const auto end = global.find('\n');
  const std::string_view module = global.substr(0, end);
  const bool is_script = module == "__torch__" || module.starts_with("__torch__.");
  // Classes that are made in C++ have no code.
  if (!is_script || module.starts_with("__torch__.torch.classes")) return none;
  const auto classes = classes_of(module);
  if (!classes) return classes.error();
  const auto found = (*classes)->find(global.substr(end + 1));
  return found == (*classes)->end() ? none : &found->second;
}

Result<const TorchScript::Classes*> TorchScript::classes_of(std::string_view module) {
  const auto known = classes_.find(module);
  if (known != classes_.end()) return &known->second;
  std::string name = concat("code/", module);
  std::ranges::replace(name, '.', '/');
  name += ".py";
  const ZipRecord* record = archive_.find(name);
  if (record == nullptr) {
    return archive_.error(ErrorCode::kCorrupt,
                          concat("there is no record ", quoted(concat(archive_.root(), name))));
  }
  const auto code = archive_.read_record(*record, kMaxCodeBytes - code_bytes_);
  if (!code) return code.error();
  code_bytes_ += code->size();
  Classes& classes = classes_[std::string(module)];
  classes = script_classes({reinterpret_cast<const char*>(code->data()), code->size()});
  for (auto& [_, of] : classes) {
    std::ranges::sort(of.parameters);
    std::ranges::sort(of.buffers);
  }
  return &classes;
}

// {'CONSTANTS': {'c0': ..., 'c1': ...}} as items of the outermost module.
Result<void> TorchScript::add_constants(const ValueGraph& constants) {
  const auto items = constants.items(constants.root());
  if (constants.node(constants.root()).kind != ValueKind::kTuple) {
    return archive_.error(ErrorCode::kCorrupt, concat(kConstantsRecord, ": is no tuple"));
  }
  if (items.empty()) return {};
  ValueGraph& graph = values();
  const ValueNode root = graph.node(graph.root());
  const auto parts = graph.children(graph.root());
  if (root.kind != ValueKind::kOpaque || graph.node(parts[kItemsSet]).kind != ValueKind::kNone) {
    return archive_.error(ErrorCode::kUnsupported,
                          concat(kObjectRecord, ": constants beside what is no module"));
  }
  std::vector<std::uint32_t> children(parts.begin(), parts.end());
  const std::string name(graph.text(graph.root()));
  const std::uint32_t first = graph.size();
  for (std::uint32_t node = 0; node < constants.size(); ++node) {
    const ValueNode& from = constants.node(node);
    std::vector<std::uint32_t> copied;
    for (const std::uint32_t child : constants.children(node))
      copied.push_back(first + child);
    graph.add_node(from.kind, from.number, copied, constants.text(node), from.has_attributes);
  }
  std::vector<std::uint32_t> pairs;
  for (std::size_t i = 0; i < items.size(); ++i) {
    pairs.push_back(graph.add_text(ValueKind::kStr, concat("c", i)));
    pairs.push_back(first + items[i]);
  }
  const std::uint32_t all = graph.add_parent(ValueKind::kDict, pairs);
  const std::array<std::uint32_t, 2> pair{graph.add_text(ValueKind::kStr, "CONSTANTS"), all};
  children[kItemsSet] = graph.add_parent(ValueKind::kDict, pair);
  graph.add_parent(ValueKind::kOpaque, children, name, root.has_attributes);
  return {};
}

}  // namespace

bool is_torch_script(const TorchArchive& archive) {
  return archive.find(kConstantsRecord) != nullptr;
}

Result<Checkpoint> read_torch_script(TorchArchive archive, const ReadOptions& options) {
  return TorchScript(std::move(archive), options).read();
}

}  // namespace weightmap::checkpoint
