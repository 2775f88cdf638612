// SPDX-License-Identifier: Apache-2.0
// A net that is served while its weights are replaced: serve WEIGHT_FILE
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>

#include "weightmap/live.h"
#include "weightmap/publish.h"
#include "weightmap/save.h"

namespace {

struct Linear : weightmap::Module {
  Linear(weightmap::Module& parent, std::string_view name, std::int64_t in, std::int64_t out)
      : Module(parent, name), weight(*this, "weight", {out, in}), bias(*this, "bias", {out}) {}
  weightmap::Parameter<float> weight, bias;
};

struct Net : weightmap::Module {
  Linear fc{*this, "fc", 2, 3};
};

int fail(const weightmap::Error& error) {
  std::fprintf(stderr, "%s\n", error.message().c_str());
  return 1;
}

// The last layer of a file, every weight twice as large.
weightmap::Result<void> save_doubled(const std::string& path, const std::string& target) {
  const auto file = weightmap::WeightFile::open(path);
  if (!file) return file.error();
  Net net;
  const auto report = weightmap::load(net, *file, {.strict = false});
  if (!report.ok()) return report.error();
  for (float& weight : net.fc.weight.mutable_values())
    weight *= 2;
  const auto saved = weightmap::save(net, target);
  if (!saved) return saved.error();
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  std::filesystem::remove("served.wmap.generation");
  std::filesystem::copy_file(argv[1], "served.wmap",
                             std::filesystem::copy_options::overwrite_existing);

  const weightmap::LiveOptions options{.open = {}, .bind = {.strict = false}};
  const auto live = weightmap::Live<Net>::open("served.wmap", options);
  if (!live) return fail(live.error());
  const auto before = live->current();  // this request's net, whatever is published meanwhile

  const auto saved = save_doubled("served.wmap", "next.wmap");
  if (!saved) return fail(saved.error());
  const auto report = weightmap::publish("next.wmap", "served.wmap");  // by this process or another
  if (!report) return fail(report.error());
  const auto after = live->wait_for_next(before.generation(), std::chrono::minutes(1));
  if (!after) return 1;

  std::printf("generation %u, then %u\n", static_cast<unsigned>(before.generation()),
              static_cast<unsigned>(after->generation()));
  std::printf("weights are %g times those of before, which are what they were\n",
              (*after)->fc.weight[0] / before->fc.weight[0]);
}
