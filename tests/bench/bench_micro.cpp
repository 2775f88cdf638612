// SPDX-License-Identifier: Apache-2.0
// The parts of open, bind and find by themselves, with everything in memory. Options are those of
// Google Benchmark.
#include <array>
#include <benchmark/benchmark.h>
#include <string>
#include <vector>

#include "weightmap/bind_plan.h"
#include "weightmap/load.h"
#include "weightmap/weight_file.h"

#include "base/hash.h"
#include "format/header.h"
#include "format/index_view.h"
#include "support/synthetic_model.h"
#include "support/temp_dir.h"

namespace weightmap::bench {
namespace {

std::size_t count_of(const benchmark::State& state) {
  return static_cast<std::size_t>(state.range(0));
}

// A model, its file, open.
struct Sample {
  explicit Sample(std::size_t count) : model(tests::expert_model(count)) {
    tests::write_weight_file(model, path);
  }
  tests::SyntheticModel model;
  tests::TempDir dir;
  std::string path = dir / "model.wmap";
};

void set_items(benchmark::State& state) {
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void verify_header_and_index(benchmark::State& state) {
  const Sample sample(count_of(state));
  const WeightFile file = *WeightFile::open(sample.path);
  const auto bytes = file.mapping();
  for (auto _ : state) {
    const auto header = format::read_header(bytes.first(format::kHeaderBytes), bytes.size());
    const auto range = header->index;
    auto index = format::read_index(bytes.subspan(range.offset_bytes, range.size_bytes), *header);
    if (!index) state.SkipWithError("read_index");
    benchmark::DoNotOptimize(index);
  }
  set_items(state);
}

void bind_list(benchmark::State& state, bool is_shuffled) {
  const Sample sample(count_of(state));
  const WeightFile file = *WeightFile::open(sample.path);
  tests::FreeSlots slots(sample.model);
  if (is_shuffled) slots.shuffle();
  for (auto _ : state) {
    if (!bind_slots(slots.all(), file).ok()) state.SkipWithError("bind_slots");
  }
  set_items(state);
}

void bind_in_order(benchmark::State& state) {
  bind_list(state, false);
}
void bind_shuffled(benchmark::State& state) {
  bind_list(state, true);
}

void bind_tree(benchmark::State& state) {
  const Sample sample(count_of(state));
  const WeightFile file = *WeightFile::open(sample.path);
  tests::ModuleTree tree(sample.model);
  for (auto _ : state) {
    if (!bind(tree.root(), file).ok()) state.SkipWithError("bind");
  }
  set_items(state);
}

// To two files in turn, as a program does that takes one version of a model after another. The part
// of it that is done once a file, R22, is not in it.
void bind_planned(benchmark::State& state) {
  const Sample sample(count_of(state));
  const std::array files{*WeightFile::open(sample.path), *WeightFile::open(sample.path)};
  tests::ModuleTree tree(sample.model);
  const auto plan = BindPlan::prepare(tree.root(), files[0]);
  if (!plan) return state.SkipWithError("prepare");
  std::size_t turn = 0;
  for (auto _ : state) {
    if (!plan->bind(files[++turn % files.size()]).ok()) state.SkipWithError("bind");
  }
  set_items(state);
}

void check_structure(benchmark::State& state) {
  const Sample sample(count_of(state));
  const WeightFile file = *WeightFile::open(sample.path);
  const auto bytes = file.mapping();
  const auto header = format::read_header(bytes.first(format::kHeaderBytes), bytes.size());
  const auto range = header->index;
  const auto index =
      format::read_index(bytes.subspan(range.offset_bytes, range.size_bytes), *header);
  if (!index) return state.SkipWithError("read_index");
  for (auto _ : state) {
    if (!format::check_structure_digest(*index)) state.SkipWithError("R22");
  }
  set_items(state);
}

void report_mismatches(benchmark::State& state) {
  const Sample sample(count_of(state));
  const WeightFile file = *WeightFile::open(sample.path);
  tests::SyntheticModel other = sample.model;
  for (tests::SyntheticTensor& tensor : other)
    tensor.shape.push_back(2);
  const tests::FreeSlots slots(other);
  for (auto _ : state) {
    const LoadReport report = bind_slots(slots.all(), file);
    if (report.mismatched().size() != other.size()) state.SkipWithError("no mismatches");
    benchmark::DoNotOptimize(report.text());
  }
  set_items(state);
}

void hash_name(benchmark::State& state) {
  const std::string name = "model.layers.61.mlp.experts.255.down_proj.weight";
  for (auto _ : state)
    benchmark::DoNotOptimize(name_hash(name));
}

void digest_bytes(benchmark::State& state) {
  const std::vector<std::byte> bytes(count_of(state));
  for (auto _ : state)
    benchmark::DoNotOptimize(digest_of(bytes));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

BENCHMARK(verify_header_and_index)->Arg(300)->Arg(10'000)->Arg(100'000);
BENCHMARK(bind_in_order)->Arg(300)->Arg(10'000)->Arg(100'000);
BENCHMARK(bind_shuffled)->Arg(300)->Arg(10'000)->Arg(100'000);
BENCHMARK(bind_tree)->Arg(300)->Arg(10'000)->Arg(100'000);
BENCHMARK(bind_planned)->Arg(300)->Arg(10'000)->Arg(100'000);
BENCHMARK(check_structure)->Arg(300)->Arg(10'000)->Arg(100'000);
BENCHMARK(report_mismatches)->Arg(100'000);
BENCHMARK(hash_name);
BENCHMARK(digest_bytes)->Arg(64 << 10)->Arg(64 << 20);

}  // namespace
}  // namespace weightmap::bench

BENCHMARK_MAIN();
