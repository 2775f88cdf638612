// SPDX-License-Identifier: Apache-2.0
// The order of events is that of torch.nn.Module.state_dict.
#include "runtime/state_dict_writer.h"

#include <utility>

#include "base/text.h"
#include "format/index_view.h"
#include "runtime/module_hooks.h"
#include "runtime/slot_home.h"
#include "runtime/state_keys.h"
#include "runtime/weight_file_state.h"

namespace weightmap {
namespace {

std::uint16_t flags_of(const Slot& slot, bool is_parameter, bool keep_vars) {
  if (slot.is_lazy()) return format::kUninitialized;
  std::uint16_t flags = slot.is_bound() ? 0 : format::kMeta;
  if (!keep_vars) return flags;
  flags |= is_parameter ? format::kParameter : format::kBuffer;
  if (slot.requires_grad()) flags |= format::kRequiresGrad;
  return flags;
}

}  // namespace

StateDictWriter::StateDictWriter(Module& root, StateDict& into, const StateDictOptions& options)
    : walk_(root, options.prefix), into_(into), keep_vars_(options.keep_vars) {}

void StateDictWriter::run() {
  enter_module();
  while (!walk_.is_done()) {
    Module& present = walk_.module();
    std::string prefix(walk_.prefix());
    if (walk_.step()) {
      enter_module();
    } else {
      leave_module(present, prefix);
    }
  }
}

void StateDictWriter::enter_module() {
  Module& module = walk_.module();
  const std::string prefix(walk_.prefix());
  into_.metadata().set(path_of(prefix), {.version = module.version(), .values = {}});
  const Module::Hooks* const hooks = module.hooks_.get();
  if (hooks != nullptr) hooks->state_dict_pre.run(module, prefix, keep_vars_);
  if (hooks != nullptr && hooks->save_step) {
    const SaveStepFunction replaced = hooks->save_step;
    replaced(into_, prefix, keep_vars_);
  } else {
    module.save_to_state_dict(into_, prefix, keep_vars_);
  }
}

void StateDictWriter::leave_module(Module& module, const std::string& prefix) {
  if (module.hooks_ == nullptr || module.hooks_->state_dict_post.empty()) return;
  // A hook may take the metadata away; the next one then has none.
  module.hooks_->state_dict_post.for_each([&](const StateDictPostHook& hook) {
    ModuleMetadata none;
    ModuleMetadata* const metadata = into_.metadata().find(path_of(prefix));
    hook(module, into_, prefix, metadata == nullptr ? none : *metadata);
  });
}

StateTensor StateDictWriter::tensor_of(const Slot& slot, bool is_parameter, bool keep_vars) {
  StateTensor::Facts facts{.dtype = slot.dtype(),
                           .shape = {slot.shape().begin(), slot.shape().end()},
                           .strides = std::nullopt,
                           .flags = flags_of(slot, is_parameter, keep_vars)};
  if (!slot.is_bound()) return StateTensor::over(std::move(facts), nullptr, nullptr);
  facts.strides.emplace(slot.strides().begin(), slot.strides().end());
  if (slot.own_ != nullptr) {
    return StateTensor::over(std::move(facts), slot.bytes(), slot.own_->memory, slot.own_->storage);
  }
  const WeightFile* const file = slot.home_ == nullptr ? nullptr : slot.home_->file_of(slot);
  if (file == nullptr) return StateTensor::over(std::move(facts), slot.bytes(), nullptr);
  return StateTensor::over(std::move(facts), slot.bytes(), file->state_,
                           file->state_->segment_around(slot.bytes()));
}

StateDict Module::state_dict(const StateDictOptions& options) {
  StateDict state_dict;
  this->state_dict(state_dict, options);
  return state_dict;
}

void Module::state_dict(StateDict& destination, const StateDictOptions& options) {
  StateDictWriter(*this, destination, options).run();
}

void Module::save_to_state_dict(StateDict& destination, std::string_view prefix, bool keep_vars) {
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const NamedSlot& named = slots_[i];
    if (named.slot == nullptr || !named.persistent) continue;
    destination.set(concat(prefix, named.name),
                    StateDictWriter::tensor_of(*named.slot, i < parameter_count_, keep_vars));
  }
  if (hooks_ == nullptr || !hooks_->get_extra_state) return;
  const GetExtraState get = hooks_->get_extra_state;  // it may register another
  destination.set(concat(prefix, kExtraState), get());
}

}  // namespace weightmap
