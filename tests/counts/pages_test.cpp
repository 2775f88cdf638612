// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "weightmap/load.h"
#include "weightmap/weight_file.h"

#include "support/smaps.h"
#include "support/synthetic_model.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

TEST_SUITE_BEGIN("counts/pages");

TEST_CASE("opening and binding 100 000 tensors touches no page of the file") {
  const tests::TempDir dir;
  const std::string path = dir / "model.wmap";
  const tests::SyntheticModel model = tests::expert_model(100'000);
  tests::write_weight_file(model, path);
  tests::ModuleTree tree(model);

  const auto file = WeightFile::open(path);
  REQUIRE(file);
  REQUIRE(bind(tree.root(), *file).ok());
  CHECK(tests::resident_bytes_of_mapping(path) == 0);

  // What looks at the mapping would see a page.
  CHECK((*file->tensor(99'999).values<float>())[0] == 0.0F);
  CHECK(tests::resident_bytes_of_mapping(path) > 0);
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
