// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "weightmap/module.h"

// Load pre-hooks that make state dicts of older layouts fit, as PyTorch's own modules do. Each is
// registered with the module that it is about, in its constructor:
//
//   struct BatchNorm : weightmap::Module {
//     BatchNorm(weightmap::Module& parent, std::string_view name) : Module(parent, name) {
//       weightmap::migrate_batch_norm(*this);
//     }
//     std::int64_t version() const override { return 2; }
//     ...
//
// (Scalars of shape [1], from before PyTorch 0.4, fit 0-dim slots without any hook.)
namespace weightmap {

// torch.nn.BatchNorm*: before version 2 there was no `num_batches_tracked`. The module's own value
// stands for it, or 0.
RemovableHandle migrate_batch_norm(Module& module);

// torch.nn.utils.weight_norm: `weight_g` and `weight_v` become
// `parametrizations.weight.original0` and `…original1`.
RemovableHandle migrate_weight_norm(Module& module, std::string_view name = "weight");

// torch.nn.utils.spectral_norm: `weight_orig`, `weight_u` and `weight_v` become
// `parametrizations.weight.original`, `parametrizations.weight.0._u` and `…0._v`. What it wrote
// before its own version 1, without `weight_v`, is left as it is, and so is missing.
RemovableHandle migrate_spectral_norm(Module& module, std::string_view name = "weight");

}  // namespace weightmap
