// SPDX-License-Identifier: Apache-2.0
// The decoder never looks a name up, so these lists decide about a warning, not about safety: a
// file that names what is on the attack lists would harm whoever gives it to torch.load.
#include "checkpoint/globals.h"

#include <algorithm>
#include <array>

#include "weightmap/dtype.h"

#include "base/text.h"

namespace weightmap::checkpoint {
namespace {

// Refused with everything inside, as modules and as attributes of other modules: `os.system` of
// `torch.serialization` is the same function as `system` of `os`.
constexpr auto kAttackAnywhere = std::to_array<std::string_view>(
    {"__builtins__", "__code__", "__getattribute__", "__globals__", "__import__",
     "__loader__",   "__spec__", "__subclasses__",   "_pickle",     "_posixsubprocess",
     "_winapi",      "cPickle",  "ctypes",           "importlib",   "marshal",
     "nt",           "os",       "pickle",           "posix",       "pty",
     "runpy",        "shutil",   "socket",           "subprocess",  "sys",
     "webbrowser",   "zipimport"});

// Refused with everything inside, as modules, classes or functions. As attributes, some of these
// words are honest: the class `profile` of `torch.autograd.profiler`.
constexpr auto kAttackPaths = std::to_array<std::string_view>(
    {"_ctypes",
     "_frozen_importlib",
     "_frozen_importlib_external",
     "_imp",
     "_io.FileIO",
     "_io.open",
     "_io.open_code",
     "_operator.attrgetter",
     "_operator.methodcaller",
     "_pyio.FileIO",
     "_pyio.open",
     "_socket",
     "_xxsubinterpreters",
     "aiohttp",
     "asyncio",
     "bdb",
     "builtins.__import__",
     "builtins.apply",
     "builtins.breakpoint",
     "builtins.compile",
     "builtins.delattr",
     "builtins.eval",
     "builtins.exec",
     "builtins.execfile",
     "builtins.exit",
     "builtins.file",
     "builtins.globals",
     "builtins.help",
     "builtins.input",
     "builtins.locals",
     "builtins.open",
     "builtins.quit",
     "builtins.raw_input",
     "builtins.reload",
     "builtins.setattr",
     "builtins.vars",
     "cProfile",
     "cffi",
     "cgitb",
     "cloudpickle.load",
     "cloudpickle.loads",
     "code.InteractiveConsole",
     "code.InteractiveInterpreter",
     "code.interact",
     "codecs.open",
     "codeop",
     "commands.getoutput",
     "commands.getstatusoutput",
     "dill.load",
     "dill.loads",
     "distutils.file_util",
     "distutils.spawn",
     "doctest",
     "ensurepip",
     "fileinput",
     "ftplib",
     "http.client",
     "http.server",
     "httplib",
     "idlelib",
     "imaplib",
     "imp",
     "io.FileIO",
     "io.open",
     "io.open_code",
     "joblib.load",
     "lib2to3",
     "logging.config",
     "multiprocessing",
     "numpy.f2py",
     "numpy.load",
     "numpy.testing",
     "operator.attrgetter",
     "operator.methodcaller",
     "pandas.read_pickle",
     "pdb",
     "pexpect",
     "pip",
     "pkgutil",
     "platform.popen",
     "popen2",
     "poplib",
     "profile.Profile",
     "profile.run",
     "pydoc",
     "requests",
     "rlcompleter",
     "shelve",
     "six.moves.builtins",
     "smtplib",
     "socketserver",
     "ssl",
     "telnetlib",
     "timeit",
     "torch._dynamo.guards.GuardBuilder.get",
     "torch._inductor.codecache",
     "torch.fx.experimental.symbolic_shapes.ShapeEnv.evaluate_guards_expression",
     "torch.hub",
     "torch.jit.load",
     "torch.jit.unsupported_tensor_ops",
     "torch.load",
     "torch.multiprocessing",
     "torch.ops.load_library",
     "torch.package.PackageImporter",
     "torch.serialization.load",
     "torch.utils._config_module",
     "torch.utils.bottleneck",
     "torch.utils.collect_env",
     "torch.utils.cpp_extension",
     "torch.utils.data.datapipes.utils.decoder",
     "trace.Trace",
     "urllib.request",
     "urllib2",
     "venv",
     "xmlrpc"});

// torch/_weights_only_unpickler.py of 2.13 without its dtypes, storage and tensor classes, and what
// `import torch` adds to it.
constexpr auto kListed =
    std::to_array<std::string_view>({"_codecs.encode",
                                     "builtins.bytearray",
                                     "builtins.complex",
                                     "builtins.set",
                                     "collections.Counter",
                                     "collections.OrderedDict",
                                     "torch.Size",
                                     "torch.Tensor",
                                     "torch._tensor._rebuild_from_type_v2",
                                     "torch._utils._rebuild_device_tensor_from_cpu_tensor",
                                     "torch._utils._rebuild_device_tensor_from_numpy",
                                     "torch._utils._rebuild_meta_tensor_no_storage",
                                     "torch._utils._rebuild_nested_tensor",
                                     "torch._utils._rebuild_parameter",
                                     "torch._utils._rebuild_parameter_with_state",
                                     "torch._utils._rebuild_qtensor",
                                     "torch._utils._rebuild_sparse_tensor",
                                     "torch._utils._rebuild_tensor",
                                     "torch._utils._rebuild_tensor_v2",
                                     "torch._utils._rebuild_tensor_v3",
                                     "torch._utils._rebuild_wrapper_subclass",
                                     "torch.device",
                                     "torch.distributed._mesh_layout._FlatLayout",
                                     "torch.distributed._mesh_layout._MeshLayout",
                                     "torch.nested._internal.nested_tensor.NestedTensor",
                                     "torch.nested._internal.nested_tensor._rebuild_njt",
                                     "torch.nn.parameter.Parameter",
                                     "torch.per_channel_affine",
                                     "torch.per_channel_affine_float_qparams",
                                     "torch.per_channel_symmetric",
                                     "torch.per_tensor_affine",
                                     "torch.per_tensor_symmetric",
                                     "torch.serialization._get_layout",
                                     "torch.storage.TypedStorage",
                                     "torch.storage.UntypedStorage"});

// Types with a tensor class (`torch.FloatTensor`) and a storage class, and those with the latter.
constexpr auto kTensorTypes = std::to_array<std::string_view>(
    {"BFloat16", "Bool", "Byte", "Char", "Double", "Float", "Half", "Int", "Long", "Short"});
constexpr auto kStorageTypes = std::to_array<std::string_view>(
    {"BFloat16", "Bool", "Byte", "Char", "ComplexDouble", "ComplexFloat", "Double", "Float", "Half",
     "Int", "Long", "QInt32", "QInt8", "QUInt2x4", "QUInt4x2", "QUInt8", "Short"});

static_assert(std::ranges::is_sorted(kAttackAnywhere));
static_assert(std::ranges::is_sorted(kAttackPaths));
static_assert(std::ranges::is_sorted(kListed));
static_assert(std::ranges::is_sorted(kTensorTypes));
static_assert(std::ranges::is_sorted(kStorageTypes));

template <std::size_t N>
constexpr std::size_t longest(const std::array<std::string_view, N>& list) {
  return std::ranges::max(list, {}, &std::string_view::size).size();
}

// Whether the path, or one of the paths that lead to it, is on the list: `os` covers `os.path`.
// Looks no further than the list's longest path.
template <std::size_t N>
bool covers(const std::array<std::string_view, N>& list, std::string_view path) {
  const std::string_view start = path.substr(0, longest(list) + 1);
  for (auto dot = start.find('.'); dot != std::string_view::npos; dot = start.find('.', dot + 1)) {
    if (std::ranges::binary_search(list, start.substr(0, dot))) return true;
  }
  return std::ranges::binary_search(list, path);
}

// Whether an attribute's path goes through what is on a list: `io.open` of `torch.serialization`.
bool leads_to_attack(std::string_view name) {
  while (true) {
    const auto dot = name.find('.');
    const std::string_view step = name.substr(0, dot);
    if (step == "builtins" || std::ranges::binary_search(kAttackAnywhere, step)) return true;
    if (dot == std::string_view::npos) return false;
    if (covers(kAttackPaths, name)) return true;
    name.remove_prefix(dot + 1);
  }
}

// `FloatStorage` and `Storage` make `Float`, which must be on the list.
template <std::size_t N>
bool is_typed(std::string_view name,
              std::string_view suffix,
              const std::array<std::string_view, N>& types) {
  if (!name.ends_with(suffix)) return false;
  name.remove_suffix(suffix.size());
  return std::ranges::binary_search(types, name);
}

bool is_torch_type(const GlobalName& global) {
  if (global.module == "torch" && dtype_from_name(global.name)) return true;
  const bool dense = global.module == "torch" || global.module == "torch.cuda";
  const bool sparse = global.module == "torch.sparse" || global.module == "torch.cuda.sparse";
  return (dense && is_typed(global.name, "Storage", kStorageTypes)) ||
         ((dense || sparse) && is_typed(global.name, "Tensor", kTensorTypes));
}

struct Renaming {
  GlobalName from;  // without a name: any
  GlobalName to;
};

// What protocol 2 and PyTorch before 1.9 wrote.
constexpr auto kRenamings = std::to_array<Renaming>({
    {{"__builtin__", "long"}, {"builtins", "int"}},
    {{"__builtin__", "unicode"}, {"builtins", "str"}},
    {{"__builtin__", "xrange"}, {"builtins", "range"}},
    {{"__builtin__", ""}, {"builtins", ""}},
    {{"copy_reg", ""}, {"copyreg", ""}},
    {{"torch.tensor", ""}, {"torch._tensor", ""}},
});

}  // namespace

GlobalName modern_name(const GlobalName& global) {
  for (const auto& [from, to] : kRenamings) {
    if (from.module != global.module) continue;
    if (from.name.empty()) return {to.module, global.name};
    if (from.name == global.name) return to;
  }
  return global;
}

GlobalTrust trust_in(const GlobalName& global) {
  const GlobalName modern = modern_name(global);
  const std::string path = global_text(modern);
  if (covers(kAttackAnywhere, path) || covers(kAttackPaths, path) || leads_to_attack(modern.name)) {
    return GlobalTrust::kAttack;
  }
  const bool listed = std::ranges::binary_search(kListed, path) || is_torch_type(modern);
  return listed ? GlobalTrust::kListed : GlobalTrust::kUnknown;
}

Result<void> check_global(const GlobalName& global, bool strict, GlobalList* list) {
  const GlobalTrust trust = trust_in(global);
  if (list != nullptr) {
    // One text can be two names: the worse one counts.
    GlobalTrust& known = list->emplace(global_text(global), trust).first->second;
    known = std::max(known, trust);
    if (list->size() <= kMostGlobals) return {};
    return Error(ErrorCode::kUnsupported,
                 concat("names more than ", kMostGlobals, " classes and functions"));
  }
  const std::string name = quoted(global_text(global));
  if (trust == GlobalTrust::kAttack) {
    return Error(ErrorCode::kUnsafe,
                 concat("names ", name, ", as only a file does that attacks whoever loads it"));
  }
  if (strict && trust != GlobalTrust::kListed) {
    return Error(ErrorCode::kUnsafe,
                 concat("names ", name, ", which torch.load(weights_only=True) refuses"));
  }
  return {};
}

std::string global_text(const GlobalName& global) {
  return concat(global.module, ".", global.name);
}

}  // namespace weightmap::checkpoint
