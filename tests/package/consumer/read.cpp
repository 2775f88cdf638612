// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <numeric>
#include <weightmap/load.h>
#include <weightmap/module.h>
#include <weightmap/weight_file.h>

namespace {

struct Linear : weightmap::Module {
  weightmap::Parameter<float> weight{*this, "weight", {10, 144}};
  weightmap::Parameter<float> bias{*this, "bias", {10}};
};

}  // namespace

// Binds one layer of the digits network.
int main(int argc, char** argv) {
  const auto file = weightmap::WeightFile::open(argc > 1 ? argv[1] : "");
  if (!file) {
    std::fprintf(stderr, "%s\n", file.error().message().c_str());
    return 1;
  }
  Linear layer;
  const auto report = weightmap::bind(layer, *file, {.prefix = "fc."});
  std::printf("%s\n", report.text().c_str());
  if (!report.ok()) return 1;
  const auto bias = layer.bias.values();
  std::printf("%zu values, sum %f\n", bias.size(), std::accumulate(bias.begin(), bias.end(), 0.0));
  return bias.size() == 10 ? 0 : 1;
}
