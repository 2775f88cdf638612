// SPDX-License-Identifier: Apache-2.0
// The contestants of one benchmark of opening files and binding or finding tensors: bench_open WHAT
// KIND COUNT FOLDER, where the folder holds what make_inputs and the converter wrote. WHAT: `order`
// (all in the file's order), `shuffled`, `tree` (of modules) or `find` (one by one in a file that
// is open, shuffled). Takes samples as serve_samples says.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <random>
#include <string>

#include "models.h"
#include "sample_server.h"

namespace {

using namespace weightmap;
using Contestants = std::vector<bench::Contestant>;

Contestants finders(const std::string& stem, const tests::SyntheticModel& wanted) {
  return {bench::weightmap_find(stem + ".wmap", wanted),
          bench::simdjson_find(stem + ".safetensors", wanted),
          bench::table_find(stem + ".table", wanted), bench::unordered_map_find(wanted),
          bench::known_places(stem + ".wmap", wanted)};
}

Contestants binders(const std::string& stem, const tests::SyntheticModel& wanted, bool is_tree) {
  const std::string ours = stem + ".wmap";
  return {is_tree ? bench::weightmap_tree(ours, wanted) : bench::weightmap_bind(ours, wanted),
          bench::kernel_part(ours), bench::simdjson_bind(stem + ".safetensors", wanted),
          bench::table_bind(stem + ".table", wanted)};
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 5) {
    std::fputs("usage: bench_open order|shuffled|tree|find KIND COUNT FOLDER\n", stderr);
    return 2;
  }
  const std::string what = argv[1];
  const std::string files = std::string(argv[4]) + "/" + argv[2] + "-" + argv[3];
  tests::SyntheticModel model = bench::model_of(argv[2], std::strtoull(argv[3], nullptr, 10));
  if (what == "shuffled" || what == "find")
    std::shuffle(model.begin(), model.end(), std::mt19937_64(1));
  if (what == "find") {
    bench::serve_samples(finders(files, model), model.size());
  } else {
    bench::serve_samples(binders(files, model, what == "tree"));
  }
  return 0;
} catch (const std::exception& failure) {
  std::fprintf(stderr, "bench_open: %s\n", failure.what());
  return 1;
}
