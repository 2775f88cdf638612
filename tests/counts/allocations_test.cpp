// SPDX-License-Identifier: Apache-2.0
// How often the heap is asked by open and bind, whatever the number of tensors.
#include <algorithm>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "weightmap/bind_plan.h"
#include "weightmap/load.h"
#include "weightmap/weight_file.h"

#include "heap_count.h"
#include "support/synthetic_model.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using tests::heap_allocations;

const std::vector<std::size_t> kCounts{10, 1'000, 100'000};

template <typename Work>
std::uint64_t allocations_of(const Work& work) {
  const std::uint64_t before = heap_allocations();
  work();
  return heap_allocations() - before;
}

std::string numbers_text(const std::vector<std::uint64_t>& numbers) {
  std::string text;
  for (const std::uint64_t number : numbers)
    text += (text.empty() ? "" : ", ") + std::to_string(number);
  return text;
}

void check_all_alike(const std::vector<std::uint64_t>& found, std::uint64_t at_most) {
  CAPTURE(numbers_text(found));
  CHECK(std::ranges::count(found, found.front()) == std::ssize(found));
  CHECK(found.front() <= at_most);
}

// A model of so many tensors, and its file.
struct Sample {
  explicit Sample(std::size_t count) : model(tests::expert_model(count)) {
    tests::write_weight_file(model, path);
  }
  WeightFile open() const { return *WeightFile::open(path); }

  tests::SyntheticModel model;
  tests::TempDir dir;
  std::string path = dir / "model.wmap";
};

TEST_SUITE_BEGIN("counts/allocations");

// What compilers cannot see through: they leave out blocks that nobody uses.
void* volatile block = nullptr;

TEST_CASE("every block is counted, however it is asked for") {
  CHECK(allocations_of([] { block = std::malloc(1); }) == 1);
  CHECK(allocations_of([] { block = std::realloc(block, 1'000); }) == 1);
  CHECK(allocations_of([] { std::free(block); }) == 0);
  CHECK(allocations_of([] { block = std::calloc(1, 1); }) == 1);
  std::free(block);
  CHECK(allocations_of([] { block = std::aligned_alloc(64, 64); }) == 1);
  std::free(block);
  CHECK(allocations_of([] { block = ::operator new(1); }) == 1);
  ::operator delete(block);
  CHECK(allocations_of([] { block = ::operator new(64, std::align_val_t(64)); }) == 1);
  ::operator delete(block, std::align_val_t(64));
}

TEST_CASE("opening asks the heap as often for 100 000 tensors as for ten") {
  std::vector<std::uint64_t> found;
  for (const std::size_t count : kCounts) {
    const Sample sample(count);
    found.push_back(allocations_of([&] { CHECK(WeightFile::open(sample.path)); }));
  }
  check_all_alike(found, 9);
}

TEST_CASE("binding a list of slots asks the heap as often for 100 000 as for ten, in any order") {
  for (const bool is_shuffled : {false, true}) {
    CAPTURE(is_shuffled);
    std::vector<std::uint64_t> found;
    for (const std::size_t count : kCounts) {
      const Sample sample(count);
      const WeightFile file = sample.open();
      tests::FreeSlots slots(sample.model);
      if (is_shuffled) slots.shuffle();
      found.push_back(allocations_of([&] { CHECK(bind_slots(slots.all(), file).ok()); }));
    }
    check_all_alike(found, 3);
  }
}

TEST_CASE("binding a tree of modules asks the heap as often for 100 000 slots as for ten") {
  std::vector<std::uint64_t> found;
  for (const std::size_t count : kCounts) {
    const Sample sample(count);
    const WeightFile file = sample.open();
    tests::ModuleTree tree(sample.model);
    found.push_back(allocations_of([&] { CHECK(bind(tree.root(), file).ok()); }));
    CHECK(tree.is_bound());
  }
  check_all_alike(found, 9);
}

TEST_CASE("binding a tree by a plan asks the heap as often for 100 000 slots as for ten") {
  std::vector<std::uint64_t> found;
  for (const std::size_t count : kCounts) {
    const Sample sample(count);
    tests::ModuleTree tree(sample.model);
    const auto plan = BindPlan::prepare(tree.root(), sample.open());
    REQUIRE(plan);
    const WeightFile file = sample.open();
    found.push_back(allocations_of([&] { CHECK(plan->bind(file).ok()); }));
  }
  check_all_alike(found, 2);  // what R22 takes
}

TEST_CASE("binding a tree anew asks as often as the first time") {
  const Sample sample(1'000);
  tests::ModuleTree tree(sample.model);
  std::vector<std::uint64_t> found;
  for (int generation = 0; generation < 3; ++generation) {
    const WeightFile file = sample.open();
    found.push_back(allocations_of([&] { CHECK(bind(tree.root(), file).ok()); }));
  }
  check_all_alike(found, 9);
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
