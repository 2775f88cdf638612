// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/globals.h"

#include <fstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "checkpoint/storage_class.h"

namespace weightmap::tests {
namespace {

using checkpoint::GlobalName;
using checkpoint::GlobalTrust;
using checkpoint::trust_in;

// Lines of the list that PyTorch itself gave: "torch._utils._rebuild_tensor_v2".
std::vector<std::string> lines_of_list() {
  std::ifstream list(std::string(WEIGHTMAP_TEST_DATA) + "/../checkpoint/weights_only_globals.txt");
  std::vector<std::string> lines;
  for (std::string line; std::getline(list, line);) {
    if (!line.starts_with('#')) lines.push_back(line);
  }
  return lines;
}

TEST_SUITE("checkpoint/globals") {
  TEST_CASE("all that weights_only=True takes is listed") {
    const auto lines = lines_of_list();
    REQUIRE(lines.size() > 100);
    for (const std::string& line : lines) {
      CAPTURE(line);
      const auto dot = line.rfind('.');
      CHECK(trust_in({std::string_view(line).substr(0, dot),
                      std::string_view(line).substr(dot + 1)}) == GlobalTrust::kListed);
    }
  }

  TEST_CASE("with a list nothing is refused and everything is noted once") {
    checkpoint::GlobalList list;
    const GlobalName names[] = {
        {"posix", "system"}, {"torch", "Size"}, {"my", "Class"}, {"torch", "Size"}};
    for (const GlobalName& name : names)
      CHECK(checkpoint::check_global(name, true, &list));
    CHECK(list == checkpoint::GlobalList{{"my.Class", GlobalTrust::kUnknown},
                                         {"posix.system", GlobalTrust::kAttack},
                                         {"torch.Size", GlobalTrust::kListed}});
  }

  TEST_CASE("a list does not grow without bound") {
    checkpoint::GlobalList list;
    Result<void> noted;
    std::string name;
    std::size_t count = 0;
    for (; noted && count < 20'000; ++count) {
      name = "C" + std::to_string(count);
      noted = checkpoint::check_global({"my", name}, false, &list);
    }
    REQUIRE_FALSE(noted);
    CHECK(noted.error().code() == ErrorCode::kUnsupported);
    CHECK(count == checkpoint::kMostGlobals + 1);
  }

  TEST_CASE("the old names of listed classes are listed") {
    CHECK(trust_in({"__builtin__", "set"}) == GlobalTrust::kListed);
    CHECK(trust_in({"torch.tensor", "_rebuild_from_type_v2"}) == GlobalTrust::kListed);
  }

  TEST_CASE("classes of users and of other packages are neither listed nor an attack") {
    const GlobalName rows[] = {
        {"argparse", "Namespace"},
        {"numpy.core.multiarray", "scalar"},
        {"numpy", "dtype"},
        {"numpy", "ndarray"},
        {"collections", "defaultdict"},
        {"builtins", "getattr"},
        {"builtins", "frozenset"},
        {"builtins", "list"},
        {"functools", "partial"},
        {"pathlib", "PosixPath"},
        {"datetime", "datetime"},
        {"copyreg", "_reconstructor"},
        {"__main__", "Model"},
        {"omegaconf.dictconfig", "DictConfig"},
        {"ultralytics.nn.tasks", "DetectionModel"},
        {"torch.optim.adam", "Adam"},
        {"torch.nn.modules.linear", "Linear"},
        {"torch.autograd.profiler", "profile"},
        {"torch.distributed.checkpoint.metadata", "Metadata"},
        {"torch", "FloatStorageX"},
        {"torch", "UntypedStorage"},
        {"torch.cuda", "QInt8Storage2"},
        // Words of the lists, where they are parts of other words or of packages.
        {"osprey.models", "Net"},
        {"system.models", "Net"},
        {"my.os.utils", "Net"},
        {"code.models", "Net"},
        {"trace.models", "Net"},
        {"models.commands", "Command"},
        {"socketlib", "Net"},
        {"builtins", "evaluate"},
        {"torch.hubconf", "Model"},
        {"model", "Outer.Inner"},
        {"model", "compile"},
        {"io", "BytesIO"},
        {"logging", "getLogger"},
        {"distutils.version", "LooseVersion"},
        {"cloudpickle.cloudpickle", "_make_function"},
    };
    for (const GlobalName& row : rows) {
      CAPTURE(checkpoint::global_text(row));
      CHECK(trust_in(row) == GlobalTrust::kUnknown);
    }
  }

  TEST_CASE("what only an attack names is an attack, by whatever way it is named") {
    const GlobalName rows[] = {
        {"os", "system"},
        {"os", "path.join"},
        {"os.path", "join"},
        {"posix", "system"},
        {"nt", "system"},
        {"sys", "modules"},
        {"subprocess", "Popen"},
        {"socket", "socket"},
        {"shutil", "rmtree"},
        {"ctypes", "CDLL"},
        {"ctypes.util", "find_library"},
        {"importlib", "import_module"},
        {"importlib.util", "spec_from_file_location"},
        {"runpy", "run_path"},
        {"pty", "spawn"},
        {"code", "InteractiveInterpreter.runcode"},
        {"multiprocessing", "Process"},
        {"multiprocessing.util", "spawnv_passfds"},
        {"webbrowser", "open"},
        {"builtins", "eval"},
        {"__builtin__", "eval"},
        {"builtins", "exec"},
        {"builtins", "compile"},
        {"builtins", "__import__"},
        {"builtins", "open"},
        {"__builtin__", "file"},
        {"__builtin__", "execfile"},
        {"builtins", "eval.__call__"},
        {"builtins", "input"},
        {"builtins", "breakpoint"},
        {"builtins", "setattr"},
        {"operator", "attrgetter"},
        {"operator", "methodcaller"},
        {"pickle", "loads"},
        {"_pickle", "loads"},
        {"cPickle", "loads"},
        {"dill", "loads"},
        {"joblib", "load"},
        {"marshal", "loads"},
        {"torch", "load"},
        {"torch", "hub.load"},
        {"torch.hub", "load"},
        {"torch.serialization", "load"},
        {"torch.jit", "load"},
        {"torch.utils.collect_env", "run"},
        {"torch.serialization", "os"},
        {"torch.serialization", "os.system"},
        {"torch.serialization", "io.open"},
        {"torch.serialization", "pickle.loads"},
        {"torch._utils", "sys.modules"},
        {"torch", "serialization.os.system"},
        {"numpy", "f2py.crackfortran.getlincoef"},
        {"a", "b.__globals__"},
        {"a", "C.__init__.__globals__"},
        {"a", "__builtins__"},
        {"a", "builtins"},
        {"a", "builtins.eval"},
        {"a", "b.__subclasses__"},
        {"pydoc", "pipepager"},
        {"timeit", "timeit"},
        {"pip", "main"},
        {"six.moves.builtins", "eval"},
    };
    for (const GlobalName& row : rows) {
      CAPTURE(checkpoint::global_text(row));
      CHECK(trust_in(row) == GlobalTrust::kAttack);
      const auto checked = checkpoint::check_global(row, false);
      REQUIRE_FALSE(checked);
      CHECK(checked.error().code() == ErrorCode::kUnsafe);
      CHECK(checked.error().message().find(checkpoint::global_text(row)) != std::string::npos);
    }
  }

  TEST_CASE("an unknown class is refused only when that is asked for") {
    CHECK(checkpoint::check_global({"argparse", "Namespace"}, false));
    const auto strict = checkpoint::check_global({"argparse", "Namespace"}, true);
    REQUIRE_FALSE(strict);
    CHECK(strict.error().code() == ErrorCode::kUnsafe);
    CHECK(checkpoint::check_global({"collections", "OrderedDict"}, true));
  }

  TEST_CASE("storage classes are found by C++'s names of the element types") {
    CHECK(checkpoint::dtype_of_storage_class("FloatStorage") == Dtype::kFloat32);
    CHECK(checkpoint::dtype_of_storage_class("CharStorage") == Dtype::kInt8);
    CHECK(checkpoint::dtype_of_storage_class("QUInt2x4Storage") == Dtype::kQUInt2x4);
    CHECK(checkpoint::dtype_of_storage_class("UInt1Storage") == Dtype::kUInt1);
    CHECK(checkpoint::dtype_of_storage_class("Int7Storage") == Dtype::kInt7);
    CHECK(checkpoint::dtype_of_storage_class("Float4_e2m1fn_x2Storage") == Dtype::kFloat4E2M1FNx2);
    CHECK(checkpoint::dtype_of_storage_class("UntypedStorage") == Dtype::kUInt8);
    CHECK_FALSE(checkpoint::dtype_of_storage_class("Storage"));
    CHECK_FALSE(checkpoint::dtype_of_storage_class("floatStorage"));
    CHECK_FALSE(checkpoint::dtype_of_storage_class("Float"));
  }
}

}  // namespace
}  // namespace weightmap::tests
