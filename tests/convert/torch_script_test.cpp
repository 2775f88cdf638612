// SPDX-License-Identifier: Apache-2.0
// TorchScript archives, against what torch.jit.load says is in them.
#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "weightmap/convert.h"
#include "weightmap/weight_file.h"

#include "format/index_view.h"
#include "support/converted.h"
#include "support/expectation.h"
#include "support/temp_dir.h"

namespace weightmap::tests {
namespace {

std::string path_of(const std::string& name) {
  return WEIGHTMAP_TEST_DATA "/checkpoints/containers/" + name;
}

// All of these are contiguous.
void check_tensor(const ExpectedTensor& expected, const TensorView& found) {
  CHECK(dtype_name(found.dtype()) == expected.dtype);
  CHECK(std::ranges::equal(found.shape(), expected.shape));
  CHECK(std::ranges::equal(found.strides(), expected.strides));
  const auto bytes = found.extent();
  CHECK(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()) == expected.bytes);
  CHECK(found.requires_grad() == expected.requires_grad);
}

// Returns the names in the file that are parameters or buffers.
std::vector<std::string> state_names(const std::string& path) {
  const auto content = read_checkpoint(path);
  REQUIRE(content);
  CHECK(content->source_kind == "TorchScript archive");
  std::vector<std::string> names;
  for (const CheckpointTensor& tensor : content->tensors) {
    if ((tensor.flags & (format::kParameter | format::kBuffer)) != 0) names.push_back(tensor.name);
  }
  return names;
}

std::map<std::string, unsigned> flags_by_name(const std::string& path) {
  std::map<std::string, unsigned> flags;
  const auto content = read_checkpoint(path);
  REQUIRE(content);
  for (const CheckpointTensor& tensor : content->tensors)
    flags[tensor.name] = tensor.flags & (format::kParameter | format::kBuffer);
  return flags;
}

TEST_SUITE_BEGIN("convert/torch_script");

TEST_CASE("parameters and buffers come out under the names of state_dict and in its order") {
  for (const char* name : {"script_1_13", "script_2_13"}) {
    CAPTURE(name);
    const TempDir directory;
    const std::string path = path_of(std::string(name) + ".pt");
    const Expectation expected = read_expectation(path_of(std::string(name) + ".state.json"));
    const WeightFile file = converted(path, directory / "out.wmap");
    auto flags = flags_by_name(path);
    std::vector<std::string> names;
    std::map<std::size_t, const std::byte*> storages;
    for (const ExpectedTensor& tensor : expected.tensors) {
      CAPTURE(tensor.name);
      names.push_back(tensor.name);
      const auto found = file.find(tensor.name);
      REQUIRE(found);
      check_tensor(tensor, *found);
      CHECK(flags[tensor.name] == (tensor.parameter ? format::kParameter : format::kBuffer));
      const auto [place, is_new] = storages.emplace(*tensor.storage, found->data());
      CHECK(place->second == found->data());  // what shares a storage there shares it here
    }
    CHECK(state_names(path) == names);
    CHECK(file.segment_count() == storages.size() + 2);
  }
}

TEST_CASE("tensors that are neither parameter nor buffer are kept as neither") {
  auto flags = flags_by_name(path_of("script_2_13.pt"));
  CHECK(flags.size() == 14);
  REQUIRE(flags.contains("plain"));
  CHECK(flags["plain"] == 0);
  REQUIRE(flags.contains("tensors.0"));
  CHECK(flags["tensors.0"] == 0);
}

TEST_CASE("the constants of a frozen module are named as its code names them") {
  const TempDir directory;
  const Expectation expected = read_expectation(path_of("script_frozen.state.json"));
  const WeightFile file = converted(path_of("script_frozen.pt"), directory / "out.wmap");
  CHECK(file.tensor_count() == expected.tensors.size());
  REQUIRE(expected.tensors.size() == 7);
  for (const ExpectedTensor& tensor : expected.tensors) {
    CAPTURE(tensor.name);
    const auto found = file.find(tensor.name);
    REQUIRE(found);
    if (tensor.shape.empty()) continue;  // an element of a longer storage
    check_tensor(tensor, *found);
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap::tests
