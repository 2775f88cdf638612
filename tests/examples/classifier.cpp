// SPDX-License-Identifier: Apache-2.0
// A fine-tuned head over a base model, bound from two files: classifier BASE HEAD
#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <vector>

#include "weightmap/load.h"

namespace {

struct Linear : weightmap::Module {
  Linear(weightmap::Module& parent, std::string_view name, std::int64_t in, std::int64_t out)
      : Module(parent, name), weight(*this, "weight", {out, in}), bias(*this, "bias", {out}) {}

  std::vector<float> operator()(const std::vector<float>& features) const {
    std::vector<float> sums(bias.values().begin(), bias.values().end());
    for (std::size_t out = 0; out < sums.size(); ++out)
      for (std::size_t in = 0; in < features.size(); ++in)
        sums[out] += weight[out * features.size() + in] * features[in];
    return sums;
  }

  weightmap::Parameter<float> weight, bias;
};

struct Classifier : weightmap::Module {
  Linear body{*this, "body", 4, 6};
  Linear head{*this, "head", 6, 3};

  std::vector<float> operator()(const std::vector<float>& features) const {
    std::vector<float> hidden = body(features);
    for (float& value : hidden)
      value = std::max(value, 0.0F);
    return head(hidden);
  }
};

void print_logits(const char* title, const Classifier& classifier) {
  const std::array inputs{std::vector<float>{0, 0.125, 0.25, 0.375},
                          std::vector<float>{0.5, 0.625, 0.75, 0.875}};
  for (const std::vector<float>& features : inputs) {
    std::printf("%s", title);
    for (const float logit : classifier(features))
      std::printf(" %.4f", static_cast<double>(logit));
    std::printf("\n");
  }
}

int fail(const std::string& message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return fail("usage: classifier BASE HEAD");
  const auto base = weightmap::WeightFile::open(argv[1]);
  if (!base) return fail(base.error().message());
  const auto head = weightmap::WeightFile::open(argv[2]);
  if (!head) return fail(head.error().message());

  Classifier before;
  const auto report = weightmap::bind(before, *base);
  if (!report.ok()) return fail(report.text());
  print_logits("base", before);

  Classifier tuned;  // the body's pages are the ones that `before` has
  const std::array files{*base, *head};
  const auto both = weightmap::bind_files(tuned, files);
  if (!both.ok()) return fail(both.text());
  for (std::size_t i = 0; i < both.matched_count(); ++i)
    std::fprintf(stderr, "%.*s from %.*s\n", static_cast<int>(both.matched(i).size()),
                 both.matched(i).data(), static_cast<int>(both.origin(i).size()),
                 both.origin(i).data());
  print_logits("tuned", tuned);
  return tuned.body.weight.data() == before.body.weight.data() ? 0 : fail("the body was copied");
}
