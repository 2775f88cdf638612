// SPDX-License-Identifier: Apache-2.0
// Checkpoints of tests/data/sources, converted and opened again, against what the reference loaded.
#include <algorithm>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "weightmap/convert.h"
#include "weightmap/weight_file.h"

#include "support/expectation.h"
#include "support/file_bytes.h"
#include "support/temp_dir.h"

namespace weightmap::tests {
namespace {

TEST_SUITE_BEGIN("convert/sources");

std::string elements_of(const TensorView& tensor) {
  const std::string_view extent = text_of(tensor.extent());
  const std::size_t size = dtype_info(tensor.dtype()).element_bits / 8;
  std::vector<std::int64_t> at(tensor.shape().size());
  std::string bytes;
  while (!extent.empty()) {
    const auto element = std::inner_product(at.begin(), at.end(), tensor.strides().begin(), 0L);
    bytes += extent.substr(static_cast<std::size_t>(element) * size, size);
    std::size_t i = at.size();
    while (i > 0 && ++at[i - 1] == tensor.shape()[i - 1])
      at[--i] = 0;
    if (i == 0) break;
  }
  return bytes;
}

TEST_CASE("sources of every kind arrive in the weight file value for value, twice alike") {
  struct Row {
    std::string source, expectation;
  };
  const Row rows[] = {
      {"safetensors/dtypes.safetensors", "safetensors/dtypes"},
      {"safetensors/unaligned.safetensors", "safetensors/unaligned"},
      {"sharded", "sharded"},
      {"sharded_bin/pytorch_model.bin.index.json", "sharded_bin"},
      {"distributed", "distributed"},
      {"distributed_chunks", "distributed_chunks"},
  };
  const std::string data = WEIGHTMAP_TEST_DATA "/sources/";
  for (const Row& row : rows) {
    CAPTURE(row.source);
    const TempDir directory;
    for (const char* target : {"a.wmap", "b.wmap"}) {
      const auto report = convert_checkpoint(data + row.source, directory / target, {});
      REQUIRE_MESSAGE(report, (report ? "" : report.error().message()));
    }
    CHECK(read_file(directory / "a.wmap") == read_file(directory / "b.wmap"));
    const auto file = WeightFile::open(directory / "a.wmap");
    REQUIRE(file);
    const auto expected =
        nlohmann::json::parse(std::ifstream(data + row.expectation + ".json")).at("tensors");
    REQUIRE(file->tensor_count() == expected.size());
    for (std::uint32_t i = 0; i < file->tensor_count(); ++i) {
      const TensorView tensor = file->tensor(i);
      CAPTURE(tensor.name());
      CHECK(dtype_name(tensor.dtype()) == expected[i].at("dtype").get<std::string>());
      CHECK(std::ranges::equal(tensor.shape(),
                               expected[i].at("shape").get<std::vector<std::int64_t>>()));
      CHECK(elements_of(tensor) == from_hex(expected[i].at("bytes")));
    }
  }
}

TEST_CASE("no file of a source is replaced") {
  const TempDir directory;
  std::filesystem::copy(WEIGHTMAP_TEST_DATA "/sources/sharded", directory.path());
  for (const std::string& name : directory.names()) {
    CAPTURE(name);
    const auto report =
        convert_checkpoint(directory.path(), directory / name, {.replace_any = true});
    REQUIRE_FALSE(report);
    CHECK(report.error().message() == (directory / name) + ": source and target are the same file");
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap::tests
