// SPDX-License-Identifier: Apache-2.0
// The order of events is that of torch.nn.Module.load_state_dict.
#include "runtime/dict_loader.h"

#include <algorithm>
#include <numeric>

#include "base/text.h"
#include "runtime/module_hooks.h"
#include "runtime/state_keys.h"

namespace weightmap {
namespace {

bool may_edit(const Module::Hooks* hooks) {
  return hooks != nullptr && (!hooks->load_pre.empty() || hooks->load_step);
}

}  // namespace

DictLoader::DictLoader(Module& root,
                       const StateDict& state_dict,
                       const LoadOptions& options,
                       LoadMode mode)
    : Loader(options, mode), root_(root), walk_(root, ""), homes_(root), given_(state_dict) {
  report_.class_name_ = root.class_name();
  report_.prefix_size_ = 0;
}

LoadReport DictLoader::run() && {
  scopes_.push_back(std::make_unique<Scope>());
  scope().entries = &given_;
  enter_module();
  while (!walk_.is_done()) {
    Module& present = walk_.module();
    if (walk_.step()) {
      ++module_number_;
      enter_module();
    } else {
      leave_module(present);
    }
  }
  note_loops(walk_, registration_errors_);
  if (met_hooks_) judge_again();
  finish(registration_errors_, slot_count_);
  return std::move(report_);
}

void DictLoader::enter_module() {
  Module& module = walk_.module();
  note_registration_errors(walk_, registration_errors_);
  const Module::Hooks* const hooks = module.hooks_.get();
  if (hooks != nullptr) met_hooks_ = true;
  if (may_edit(hooks)) open_scope();
  if (hooks == nullptr || !hooks->load_step) return load_module(module);
  const LoadStepFunction replaced = hooks->load_step;
  LoadStep step = make_step();
  step.load_own = [&] { load_module(module); };
  replaced(step);
  // It may have edited after the keys were looked at.
  scope().is_sorted = scope().has_homes = false;
}

void DictLoader::leave_module(Module& module) {
  const std::size_t depth = walk_.depth() + 1;
  if (module.hooks_ != nullptr && !module.hooks_->load_post.empty()) {
    IncompatibleKeys keys{.missing = report_.missing_, .unexpected = report_.unexpected_};
    module.hooks_->load_post.run(module, keys);
  }
  if (scope().depth == depth) scopes_.pop_back();
}

void DictLoader::load_module(Module& module) {
  if (may_edit(module.hooks_.get())) {
    LoadStep step = make_step();
    module.hooks_->load_pre.run(module, step);
  }
  Taken taken;
  take_slots(module, taken);
  take_extra_state(module, taken);
  collect_unexpected(module, taken);
}

// REQUIRES: the present scope is the module's own.
LoadStep DictLoader::make_step() {
  const ModuleMetadata* const metadata = given_.metadata().find(path_of(walk_.prefix()));
  return {.state_dict = *scope().own,
          .prefix = std::string(walk_.prefix()),
          .metadata = metadata == nullptr ? no_metadata_ : *metadata,
          .assign = mode_ == LoadMode::kBind,
          .keys = {.missing = report_.missing_, .unexpected = report_.unexpected_},
          .error_messages = messages_,
          .load_own = {}};
}

void DictLoader::take_slots(const Module& module, Taken& taken) {
  for (const Module::NamedSlot& named : module.own_slots()) {
    if (named.slot == nullptr || !named.persistent) continue;
    ++slot_count_;
    std::string key = concat(walk_.prefix(), named.name);
    const StateItem* const item = scope().entries->find(key);
    if (item == nullptr) {
      report_.missing_.push_back(std::move(key));
    } else {
      taken.insert(item);
      take_item(*named.slot, *item, key);
    }
  }
}

void DictLoader::take_item(Slot& slot, const StateItem& item, const std::string& key) {
  if (const StateTensor* const tensor = item.tensor()) {
    report_.tensors_.push_back({.key = key, .tensor = *tensor});
    judge(slot, static_cast<std::uint32_t>(report_.tensors_.size() - 1));
  } else if (const StateComposite* const composite = item.composite()) {
    note_mismatch(composite_mismatch(slot, composite->file.composite(composite->number), key));
  } else {
    note_mismatch(class_mismatch(key, item.value()->class_name()));
  }
}

void DictLoader::take_extra_state(const Module& module, Taken& taken) {
  const std::string key = concat(walk_.prefix(), kExtraState);
  const StateItem* const item = scope().entries->find(key);
  const bool wants_it = module.hooks_ != nullptr && module.hooks_->set_extra_state;
  if (item == nullptr && wants_it) report_.missing_.push_back(key);
  if (item == nullptr || !taken.insert(item).second) return;
  if (!wants_it) {
    report_.unexpected_.push_back(key);
    return;
  }
  const SetExtraState set = module.hooks_->set_extra_state;
  const Result<void> done = set(*item);
  if (!done)
    note_error(concat("While setting the extra state \"", key, "\": ", done.error().message()));
}

// What hooks should not have done, but may have: slots that are no more what they were.
void DictLoader::judge_again() {
  for (const Row& row : report_.rows_) {
    auto mismatch = find_mismatch(*row.slot, tensor(row.source), key(row.source), mode_);
    if (mismatch) note_mismatch(std::move(*mismatch));
  }
}

// PyTorch's rule, for a module that sees its own keys alone: where each module edits, homes would
// be found anew in each.
void DictLoader::collect_unexpected_of_own_scope(const Module& module, const Taken& taken) {
  std::unordered_set<std::string_view> children;
  for (const Module::NamedModule& child : module.own_children())
    children.insert(child.name);
  for (const StateDict::Entry& entry : *scope().entries) {
    if (!entry.name.starts_with(walk_.prefix())) continue;
    const std::string_view name = entry.name;
    const std::string_view rest = name.substr(walk_.prefix().size());
    const std::size_t dot = rest.find('.');
    const bool is_below = dot != std::string_view::npos && children.contains(rest.substr(0, dot));
    if (is_below || rest == kExtraState || taken.contains(&entry.value)) continue;
    report_.unexpected_.push_back(entry.name);
  }
}

void DictLoader::collect_unexpected(const Module& module, const Taken& taken) {
  const bool is_own = scope().own != nullptr && scope().depth == walk_.depth();
  if (is_own) return collect_unexpected_of_own_scope(module, taken);
  find_homes(scope());
  const auto found = scope().by_home.find(module_number_);
  if (found == scope().by_home.end()) return;
  for (const StateDict::Entry* const entry : found->second)
    if (!taken.contains(&entry->value)) report_.unexpected_.push_back(entry->name);
}

// As PyTorch: the keys that begin with the module's name, in their order.
void DictLoader::open_scope() {
  auto narrowed = std::make_unique<Scope>();
  narrowed->depth = walk_.depth();
  narrowed->own = std::make_unique<StateDict>();
  narrowed->entries = narrowed->own.get();
  Scope& wide = scope();
  sort_names(wide);
  const auto name = [&](std::uint32_t place) -> std::string_view {
    return wide.in_order[place]->name;
  };
  const auto begin = std::ranges::lower_bound(wide.by_name, walk_.prefix(), {}, name);
  const auto end = std::find_if_not(begin, wide.by_name.end(), [&](std::uint32_t place) {
    return name(place).starts_with(walk_.prefix());
  });
  std::vector<std::uint32_t> places(begin, end);
  std::ranges::sort(places);
  for (const std::uint32_t place : places)
    narrowed->own->set(name(place), wide.in_order[place]->value);
  scopes_.push_back(std::move(narrowed));
}

void DictLoader::sort_names(Scope& scope) const {
  if (std::exchange(scope.is_sorted, true)) return;
  scope.in_order.clear();
  for (const StateDict::Entry& entry : *scope.entries)
    scope.in_order.push_back(&entry);
  scope.by_name.resize(scope.in_order.size());
  std::iota(scope.by_name.begin(), scope.by_name.end(), 0U);
  std::ranges::sort(scope.by_name, {}, [&](std::uint32_t place) -> std::string_view {
    return scope.in_order[place]->name;
  });
}

void DictLoader::find_homes(Scope& scope) const {
  if (std::exchange(scope.has_homes, true)) return;
  scope.by_home.clear();
  for (const StateDict::Entry& entry : *scope.entries) {
    if (const auto home = homes_.home(entry.name)) scope.by_home[*home].push_back(&entry);
  }
}

TensorView DictLoader::tensor(std::uint32_t source) const {
  return report_.tensors_[source].tensor.view();
}

std::string_view DictLoader::key(std::uint32_t source) const {
  return report_.tensors_[source].key;
}

LoadFacts DictLoader::facts() const {
  LoadFacts facts;
  facts.note_wanted(root_);
  facts.note_found(given_, options_.prefix);
  return facts;
}

void DictLoader::point_slots() {
  for (const Row& row : report_.rows_) {
    const StateTensor& from = report_.tensors_[row.source].tensor;
    const TensorView& view = from.view();
    if (view.is_uninitialized()) continue;
    Slot& slot = *row.slot;
    if (slot.takes_what_comes()) slot.become(view.dtype(), view.shape());
    // A 0-dim slot may take a tensor of shape [1]: it has no use for that stride.
    const auto strides = view.strides().first(slot.shape().size());
    slot.take_own(view.data(), {.strides = {strides.begin(), strides.end()},
                                .memory = from.owner(),
                                .storage = from.storage(),
                                .writable = nullptr});
  }
  leave_files();
}

}  // namespace weightmap
