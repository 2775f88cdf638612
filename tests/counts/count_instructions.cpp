// SPDX-License-Identifier: Apache-2.0
// Does each thing that instructions_test.py counts once, in a function of its own name.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "weightmap/bind_plan.h"
#include "weightmap/load.h"
#include "weightmap/weight_file.h"

#include "support/synthetic_model.h"
#include "support/temp_dir.h"

using weightmap::LoadReport;
using weightmap::WeightFile;
namespace tests = weightmap::tests;

namespace {

constexpr std::size_t kTensors = 10'000;

void require(bool is_so, const char* what) {
  if (is_so) return;
  std::fprintf(stderr, "count_instructions: %s failed\n", what);
  std::exit(1);
}

}  // namespace

extern "C" {

[[gnu::noinline]] WeightFile* counted_open(const std::string& path) {
  auto file = WeightFile::open(path);
  require(file.has_value(), "open");
  return new WeightFile(*file);
}

[[gnu::noinline]] void counted_bind_in_order(const tests::FreeSlots& slots,
                                             const WeightFile& file) {
  require(bind_slots(slots.all(), file).ok(), "bind in order");
}

[[gnu::noinline]] void counted_bind_shuffled(const tests::FreeSlots& slots,
                                             const WeightFile& file) {
  require(bind_slots(slots.all(), file).ok(), "shuffled bind");
}

[[gnu::noinline]] void counted_bind_tree(tests::ModuleTree& tree, const WeightFile& file) {
  require(bind(tree.root(), file).ok(), "bind of a tree");
}

[[gnu::noinline]] void counted_bind_planned(const weightmap::BindPlan& plan,
                                            const WeightFile& file) {
  require(plan.bind(file).ok(), "bind by a plan");
}

[[gnu::noinline]] void counted_find(const tests::SyntheticModel& model, const WeightFile& file) {
  for (const tests::SyntheticTensor& tensor : model)
    require(file.find_number(tensor.name).has_value(), "find");
}

}  // extern "C"

int main() {
  const tests::SyntheticModel model = tests::expert_model(kTensors);
  const tests::TempDir dir;
  const std::string path = dir / "model.wmap";
  tests::write_weight_file(model, path);
  const tests::FreeSlots in_order(model);
  tests::FreeSlots shuffled(model);
  shuffled.shuffle();
  tests::ModuleTree tree(model);

  const std::unique_ptr<const WeightFile> file(counted_open(path));
  counted_bind_in_order(in_order, *file);
  counted_bind_shuffled(shuffled, *file);
  counted_bind_tree(tree, *file);
  const auto plan = weightmap::BindPlan::prepare(tree.root(), *file);
  require(plan.has_value(), "plan");
  counted_bind_planned(*plan, *WeightFile::open(path));
  counted_find(model, *file);
  return 0;
}
