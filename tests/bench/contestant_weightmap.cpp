// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstdint>
#include <cstring>
#include <unordered_map>
#include <utility>
#include <vector>

#include "weightmap/load.h"
#include "weightmap/weight_file.h"

#include "contestant.h"
#include "io/private_bytes.h"

namespace weightmap::bench {
namespace {

WeightFile opened(const std::string& path) {
  auto file = WeightFile::open(path);
  require(file.has_value(), "weightmap: open");
  return *file;
}

}  // namespace

Contestant weightmap_bind(const std::string& path, const tests::SyntheticModel& wanted) {
  const auto slots = std::make_shared<tests::FreeSlots>(wanted);
  const auto run = [path, slots] {
    require(bind_slots(slots->all(), opened(path)).ok(), "weightmap: bind");
  };
  return {.name = "weightmap", .run = run};
}

Contestant weightmap_tree(const std::string& path, const tests::SyntheticModel& wanted) {
  const auto tree = std::make_shared<tests::ModuleTree>(wanted);
  const auto run = [path, tree] {
    require(bind(tree->root(), opened(path)).ok(), "weightmap: bind of a tree");
  };
  return {.name = "weightmap", .run = run};
}

// Where the index lies: FORMAT.md 2.
Contestant kernel_part(const std::string& path) {
  const auto run = [path] {
    constexpr std::size_t kHeaderBytes = 128;
    constexpr std::size_t kIndexAt = 24;
    const InputFile file(path);
    std::array<std::byte, kHeaderBytes> header{};
    file.read(0, header.data(), header.size());
    std::array<std::uint64_t, 2> index{};
    std::memcpy(index.data(), header.data() + kIndexAt, sizeof index);
    io::PrivateBytes bytes(index[1]);
    file.read(index[0], bytes.bytes().data(), index[1]);
  };
  return {.name = "open, map, read the index", .run = run};
}

Contestant weightmap_find(const std::string& path, const tests::SyntheticModel& wanted) {
  const auto run = [file = opened(path), &wanted] {
    for (const tests::SyntheticTensor& tensor : wanted)
      require(file.find_number(tensor.name).has_value(), "weightmap: find");
  };
  return {.name = "weightmap", .run = run};
}

Contestant known_places(const std::string& path, const tests::SyntheticModel& wanted) {
  std::vector<std::uint32_t> places;
  const WeightFile file = opened(path);
  for (const tests::SyntheticTensor& tensor : wanted)
    places.push_back(file.find_number(tensor.name).value());
  const auto run = [file, places = std::move(places), &wanted] {
    for (std::size_t i = 0; i < wanted.size(); ++i)
      require(file.name(places[i]) == wanted[i].name, "known places: name");
  };
  return {.name = "names compared at known places", .run = run};
}

Contestant unordered_map_find(const tests::SyntheticModel& wanted) {
  using Map = std::unordered_map<std::string, std::uint32_t>;
  const auto map = std::make_shared<Map>();
  for (const tests::SyntheticTensor& tensor : wanted)
    map->emplace(tensor.name, map->size());
  const auto run = [map, &wanted] {
    for (const tests::SyntheticTensor& tensor : wanted)
      require(map->find(tensor.name) != map->end(), "unordered_map: find");
  };
  return {.name = "std::unordered_map", .run = run};
}

}  // namespace weightmap::bench
