// SPDX-License-Identifier: Apache-2.0
#include "models.h"

#include <stdexcept>
#include <string>

namespace weightmap::bench {
namespace {

// The smallest of the family, as its state dict names and orders them.
tests::SyntheticModel gpt2_model(std::size_t layers) {
  tests::SyntheticModel model{{"wte.weight", {50'257, 768}}, {"wpe.weight", {1'024, 768}}};
  for (std::size_t layer = 0; layer < layers; ++layer) {
    const std::string prefix = "h." + std::to_string(layer) + ".";
    model.insert(model.end(), {{prefix + "ln_1.weight", {768}},
                               {prefix + "ln_1.bias", {768}},
                               {prefix + "attn.c_attn.weight", {768, 2'304}},
                               {prefix + "attn.c_attn.bias", {2'304}},
                               {prefix + "attn.c_proj.weight", {768, 768}},
                               {prefix + "attn.c_proj.bias", {768}},
                               {prefix + "ln_2.weight", {768}},
                               {prefix + "ln_2.bias", {768}},
                               {prefix + "mlp.c_fc.weight", {768, 3'072}},
                               {prefix + "mlp.c_fc.bias", {3'072}},
                               {prefix + "mlp.c_proj.weight", {3'072, 768}},
                               {prefix + "mlp.c_proj.bias", {768}}});
  }
  model.insert(model.end(), {{"ln_f.weight", {768}}, {"ln_f.bias", {768}}});
  return model;
}

}  // namespace

tests::SyntheticModel model_of(std::string_view kind, std::size_t count) {
  if (kind == "experts") return tests::expert_model(count);
  if (kind == "wide") return tests::wide_model(count);
  if (kind == "gpt2") return gpt2_model(count);
  throw std::runtime_error("no such kind of model");
}

}  // namespace weightmap::bench
