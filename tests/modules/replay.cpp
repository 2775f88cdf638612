// SPDX-License-Identifier: Apache-2.0
// Builds the module trees of a file of cases (make_cases.py), makes state dicts of them and loads
// others into them by every route that there is, and holds what happens against what PyTorch
// recorded: replay CASES.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "weightmap/load.h"
#include "weightmap/save.h"

#include "modules/comparison.h"
#include "modules/differences.h"
#include "support/temp_dir.h"

namespace weightmap::tests {
namespace {

// How a state dict comes to a module. `outcomes`: what is stated for it, by the first of these
// names that the case has; the last is PyTorch's own.
struct Route {
  const char* name;
  bool assign;
  bool is_file;
  const char* prefix;  // before every key, and taken off again
  std::vector<std::string> outcomes;
};

const std::vector<Route> kRoutes{
    {"load", false, false, "", {"load", "copy"}},
    {"bind", true, false, "", {"bind", "assign"}},
    {"load from a file", false, true, "", {"load_file", "load", "copy"}},
    {"bind to a file", true, true, "", {"bind_file", "bind", "assign"}},
    {"load below a prefix", false, false, "model.", {"load", "copy"}},
    {"bind below a prefix", true, false, "model.", {"bind", "assign"}},
    {"load from a file below a prefix", false, true, "model.", {"load_file", "load", "copy"}},
    {"bind to a file below a prefix", true, true, "model.", {"bind_file", "bind", "assign"}},
};

// A state dict that has lost its metadata has none.
Json list(const Json& described) {
  return described.is_null() ? Json::array() : described;
}

StateDict below(const StateDict& state_dict, const std::string& prefix) {
  if (prefix.empty()) return state_dict;
  StateDict moved;
  moved.set("other.weight", StateTensor::copy_of<float>({1}, std::vector{1.0F}));
  for (const auto& [key, item] : state_dict)
    moved.set(prefix + key, item);
  for (const auto& [path, module] : state_dict.metadata()) {
    const std::string whole = prefix + path;
    moved.metadata().set(path.empty() ? prefix.substr(0, prefix.size() - 1) : whole, module);
  }
  return moved;
}

WeightFile saved(const StateDict& state_dict, const std::string& path) {
  const auto report = save(state_dict, path, {.sync = false});
  if (!report) throw std::runtime_error(report.error().message());
  auto file = WeightFile::open(path);
  if (!file) throw std::runtime_error(file.error().message());
  return *file;
}

class Replay {
 public:
  Replay(const Json& described, const TempDir& directory, DifferenceCounts& counts)
      : described_(described), recorded_(described), directory_(directory), counts_(counts) {}

  bool run() {
    if (!saves() || !consumes_prefix()) return complain("in the case", described_.dump());
    for (const Route& route : kRoutes) {
      if ((route.is_file && described_["memory_only"]) || loads(route)) continue;
      complain("by the route", route.name);
      return complain("in the case", described_.dump());
    }
    return true;
  }

 private:
  // Two state dicts of one module, one after the other.
  bool saves() {
    const Memory memory(recorded_);
    Tree tree(described_, recorded_, memory, Tree::kSource);
    if (!has_its_names(tree.root(), described_)) return false;
    for (const Json& recorded : described_["saves"]) {
      const Json& before = recorded["before"];
      StateDict found;
      if (!before.is_null()) found = memory.state_dict(recorded_, before[0], before[1]);
      tree.root().state_dict(found,
                             {.prefix = recorded["prefix"], .keep_vars = recorded["keep_vars"]});
      Places places(memory);
      const bool good =
          is_as_recorded(found, recorded["items"], recorded["metadata"], recorded_, places) &&
          is_same("log", tree.log(), recorded["log"]);
      if (!good) return complain("of the state dict with the prefix", recorded["prefix"].dump());
      tree.log().clear();
    }
    return true;
  }

  bool consumes_prefix() {
    const Memory memory(recorded_);
    const Json& consumed = described_["consumed"];
    const bool is_changed = consumed.size() > 1;
    const Json& entries = is_changed ? consumed[1] : described_["entries"];
    const Json& metadata = is_changed ? consumed[2] : described_["metadata"];
    StateDict found = memory.state_dict(recorded_, described_["entries"], described_["metadata"]);
    consume_prefix_in_state_dict_if_present(found, consumed[0].get<std::string>());
    Places places(memory);
    return is_as_recorded(found, entries, list(metadata), recorded_, places) ||
           complain("without the prefix", consumed[0].dump());
  }

  const Json& stated(const Route& route) const {
    const Json& outcomes = described_["outcomes"];
    const auto has = [&](const std::string& name) { return outcomes.contains(name); };
    return outcomes[*std::ranges::find_if(route.outcomes, has)];
  }

  // Where what the file holds lies in it.
  bool find_places(const WeightFile& file, const Route& route, Places& places) {
    const auto found = file.state_dict(route.prefix);
    if (!found) return complain("state dict of the file", found.error().message());
    return is_as_recorded(*found, described_["entries"], list(described_["metadata"]), recorded_,
                          places);
  }

  bool loads(const Route& route) {
    const Memory memory(recorded_);
    const StateDict given = below(
        memory.state_dict(recorded_, described_["entries"], described_["metadata"]), route.prefix);
    std::optional<WeightFile> file;
    Places places(memory);
    if (route.is_file) {
      places = Places();
      file = saved(given, directory_ / "case.wmap");
      if (!find_places(*file, route, places)) return false;
    }
    Tree tree(described_, recorded_, memory, Tree::kTarget);
    const Json& outcome = stated(route);
    LoadOptions options{.strict = described_["strict"],
                        .assign = route.assign,
                        .prefix = route.prefix,
                        .allow_nothing = outcome.contains("nothing")};
    const auto load = [&] {
      return file ? tree.root().load_state_dict(*file, options)
                  : tree.root().load_state_dict(given, options);
    };
    if (outcome.contains("nothing")) {
      options.allow_nothing = false;
      if (!refuses_nothing(load(), outcome)) return false;
      options.allow_nothing = true;
      tree.log().clear();
    }
    const LoadReport report = load();
    const Json& pytorch = described_["outcomes"][route.outcomes.back()];
    return tells_as_recorded(report, outcome) && is_same("log", tree.log(), outcome["log"]) &&
           has_as_recorded(tree, memory, recorded_, outcome, places) &&
           (route.is_file || knows_storages(tree, memory, recorded_, outcome)) &&
           differ_as_stated({described_, pytorch, outcome, recorded_, tree, given, report},
                            counts_);
  }

  static bool refuses_nothing(const LoadReport& report, const Json& outcome) {
    const std::string text =
        "strict=false matched 0 of " + outcome["nothing"].dump() + " keys: nothing was loaded";
    return report.text().ends_with(":\n\t" + text) || complain("not refused", report.text());
  }

  const Json& described_;
  const Recorded recorded_;
  const TempDir& directory_;
  DifferenceCounts& counts_;
};

// One case a line.
int replay(const char* path) {
  std::ifstream stream(path);
  const TempDir directory;
  DifferenceCounts counts;
  std::size_t good = 0;
  std::size_t count = 0;
  for (std::string line; std::getline(stream, line);) {
    if (!line.starts_with('{')) continue;
    if (line.ends_with(',')) line.pop_back();
    const Json described = Json::parse(line);
    ++count;
    good += Replay(described, directory, counts).run() ? 1 : 0;
  }
  for (const auto& [name, times] : counts)
    std::printf("differs as stated: %s, %d times\n", name.c_str(), times);
  std::printf("%zu of %zu cases as in PyTorch\n", good, count);
  return count == 0 || good != count ? 1 : 0;
}

}  // namespace
}  // namespace weightmap::tests

int main(int argc, char** argv) {
  if (argc == 2) return weightmap::tests::replay(argv[1]);
  std::fprintf(stderr, "usage: replay CASES\n");
  return 2;
}
