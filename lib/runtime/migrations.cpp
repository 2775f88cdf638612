// SPDX-License-Identifier: Apache-2.0
// What changes, and when, is from _NormBase._load_from_state_dict and from
// torch.nn.utils.parametrizations.
#include "weightmap/migrations.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "runtime/state_dict_writer.h"

namespace weightmap {
namespace {

using Renames = std::vector<std::pair<std::string, std::string>>;

// Only when everything that changes its name is there.
RemovableHandle rename_together(Module& module, Renames renames) {
  return module.register_load_state_dict_pre_hook(
      [renames = std::move(renames)](Module&, LoadStep& step) {
        const bool is_old = std::ranges::all_of(renames, [&](const auto& rename) {
          return step.state_dict.contains(step.prefix + rename.first);
        });
        if (!is_old) return;
        for (const auto& [from, to] : renames)
          step.state_dict.rename(step.prefix + from, step.prefix + to);
      });
}

StateTensor value_or_zero(const Slot& slot) {
  if (slot.is_bound()) return StateDictWriter::tensor_of(slot, false, false);
  const std::vector<std::byte> zero(dtype_info(slot.dtype()).element_bits / 8U);
  return StateTensor::copy_of_bytes(slot.dtype(), {}, zero);
}

}  // namespace

RemovableHandle migrate_batch_norm(Module& module) {
  return module.register_load_state_dict_pre_hook([](Module& norm, LoadStep& step) {
    constexpr std::string_view kCount = "num_batches_tracked";
    constexpr std::int64_t kHasCount = 2;
    const auto buffers = norm.own_buffers();
    const auto found = std::ranges::find(buffers, kCount, &Module::NamedSlot::name);
    if (found == buffers.end() || found->slot == nullptr) return;
    const std::string key = concat(step.prefix, kCount);
    if (step.metadata.version.value_or(0) >= kHasCount || step.state_dict.contains(key)) return;
    step.state_dict.set(key, value_or_zero(*found->slot));
  });
}

RemovableHandle migrate_weight_norm(Module& module, std::string_view name) {
  const std::string to = concat("parametrizations.", name, ".");
  return rename_together(
      module, {{concat(name, "_g"), to + "original0"}, {concat(name, "_v"), to + "original1"}});
}

RemovableHandle migrate_spectral_norm(Module& module, std::string_view name) {
  const std::string to = concat("parametrizations.", name, ".");
  return rename_together(module, {{concat(name, "_orig"), to + "original"},
                                  {concat(name, "_u"), to + "0._u"},
                                  {concat(name, "_v"), to + "0._v"}});
}

}  // namespace weightmap
