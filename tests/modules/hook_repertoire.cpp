// SPDX-License-Identifier: Apache-2.0
#include "modules/hook_repertoire.h"

#include <array>
#include <functional>
#include <memory>
#include <unordered_map>

namespace weightmap::tests {
namespace {

using Texts = std::vector<std::string>;

Texts arguments(const Json& hook) {
  Texts given;
  for (std::size_t i = 1; i < hook.size(); ++i)
    given.push_back(hook[i].is_string() ? hook[i].get<std::string>() : hook[i].dump());
  return given;
}

StateTensor some_tensor() {
  return StateTensor::copy_of<float>({2}, std::array{1.0F, 2.0F});
}

Texts keys_below(const StateDict& state_dict, const std::string& prefix) {
  Texts keys;
  for (const StateDict::Entry& entry : state_dict)
    if (entry.name.starts_with(prefix)) keys.push_back(entry.name);
  return keys;
}

void rename_all(StateDict& state_dict, const std::string& from, const std::string& to) {
  for (const std::string& key : keys_below(state_dict, from))
    state_dict.rename(key, to + key.substr(from.size()));
}

void drop_all(StateDict& state_dict, const std::string& prefix) {
  for (const std::string& key : keys_below(state_dict, prefix))
    state_dict.erase(key);
}

// Of state_dict.

using SavePost = std::function<void(StateDict&, const std::string&, ModuleMetadata&, const Json&)>;

const std::unordered_map<std::string, SavePost> kSavePosts{
    {"sd_post_rename",
     [](StateDict& state_dict, const std::string& prefix, ModuleMetadata&, const Json& hook) {
       state_dict.rename(prefix + hook[1].get<std::string>(), prefix + hook[2].get<std::string>());
     }},
    {"sd_post_drop",
     [](StateDict& state_dict, const std::string& prefix, ModuleMetadata&, const Json& hook) {
       state_dict.erase(prefix + hook[1].get<std::string>());
     }},
    {"sd_post_add",
     [](StateDict& state_dict, const std::string& prefix, ModuleMetadata&, const Json& hook) {
       state_dict.set(prefix + hook[1].get<std::string>(), some_tensor());
     }},
    {"sd_post_note",
     [](StateDict&, const std::string&, ModuleMetadata& metadata, const Json& hook) {
       metadata.values.set(hook[1].get<std::string>(), StateValue::of_integer(7));
     }},
    {"sd_post_version",
     [](StateDict&, const std::string&, ModuleMetadata& metadata, const Json& hook) {
       metadata.version = hook[1].get<std::int64_t>();
     }},
    {"sd_post_strip",
     [](StateDict& state_dict, const std::string& prefix, ModuleMetadata&, const Json& hook) {
       rename_all(state_dict, prefix + hook[1].get<std::string>() + ".", prefix);
     }},
};

std::string save_line(const std::string& name, std::string_view prefix, bool keep_vars) {
  return name + "@" + std::string(prefix) + (keep_vars ? " 1" : " 0");
}

void register_save_post(Module& module, const Json& hook, Log& log) {
  const std::string name = hook[0];
  module.register_state_dict_post_hook(
      [=, &log](Module&, StateDict& state_dict, std::string_view prefix, ModuleMetadata& metadata) {
        log.push_back(name + "@" + std::string(prefix) + " " + std::to_string(state_dict.size()));
        kSavePosts.at(name)(state_dict, std::string(prefix), metadata, hook);
      });
}

void replace_save(Module& module, const Json& hook, Log& log) {
  const std::string name = hook[0];
  module.replace_save_to_state_dict([name, given = arguments(hook), &module, &log](
                                        StateDict& into, std::string_view prefix, bool keep_vars) {
    log.push_back(save_line(name, prefix, keep_vars));
    const std::string key = std::string(prefix) + (given.empty() ? "" : given[0]);
    if (name == "save_add") into.set(key, StateValue::of_integer(5));
    if (name != "save_skip") module.save_to_state_dict(into, prefix, keep_vars);
    if (name == "save_drop") into.erase(key);
  });
}

// Of load_state_dict.

std::string load_line(const std::string& name, const LoadStep& step) {
  const auto version = step.metadata.version;
  return name + "@" + step.prefix + " " + std::to_string(step.state_dict.size()) + " " +
         (version ? std::to_string(*version) : "None");
}

using LoadPre = std::function<void(LoadStep&, const Texts&)>;

const std::unordered_map<std::string, LoadPre> kLoadPres{
    {"load_pre_rename",
     [](LoadStep& step, const Texts& given) {
       step.state_dict.rename(step.prefix + given[0], step.prefix + given[1]);
     }},
    {"load_pre_rename_all",
     [](LoadStep& step, const Texts& given) {
       rename_all(step.state_dict, step.prefix + given[0] + ".", step.prefix + given[1] + ".");
     }},
    {"load_pre_drop",
     [](LoadStep& step, const Texts& given) { step.state_dict.erase(step.prefix + given[0]); }},
    {"load_pre_add",
     [](LoadStep& step, const Texts& given) {
       step.state_dict.set(step.prefix + given[0], some_tensor());
     }},
    {"load_pre_value",
     [](LoadStep& step, const Texts& given) {
       step.state_dict.set(step.prefix + given[0], StateValue::of_integer(3));
     }},
    {"load_pre_error",
     [](LoadStep& step, const Texts& given) { step.error_messages.push_back(given[0]); }},
    {"load_pre_missing",
     [](LoadStep& step, const Texts& given) { step.keys.missing.push_back(given[0]); }},
    {"load_pre_unexpected",
     [](LoadStep& step, const Texts& given) { step.keys.unexpected.push_back(given[0]); }},
    {"load_pre_outside",
     [](LoadStep& step, const Texts& given) {
       step.state_dict.set("outside." + given[0], some_tensor());
     }},
    {"load_pre_upgrade",
     [](LoadStep& step, const Texts& given) {
       if (step.metadata.version && *step.metadata.version >= std::stoll(given[0])) return;
       step.state_dict.rename(step.prefix + given[1], step.prefix + given[2]);
     }},
    {"load_pre_forget", [](LoadStep& step, const Texts&) { step.keys.unexpected.clear(); }},
};

void register_load_pre(Module& module, const Json& hook, Log& log) {
  const std::string name = hook[0];
  module.register_load_state_dict_pre_hook(
      [name, given = arguments(hook), &log](Module&, LoadStep& step) {
        log.push_back(load_line(name, step));
        kLoadPres.at(name)(step, given);
      });
}

void register_load_post(Module& module, const Json& hook, Log& log) {
  const std::string name = hook[0];
  module.register_load_state_dict_post_hook(
      [name, given = arguments(hook), &log](Module&, IncompatibleKeys& keys) {
        log.push_back(name + " " + std::to_string(keys.missing.size()) + " " +
                      std::to_string(keys.unexpected.size()));
        if (name == "load_post_forget") {
          std::erase_if(keys.missing, [&](const auto& key) { return key.ends_with(given[0]); });
        } else if (name == "load_post_unexpected") {
          keys.unexpected.push_back(given[0]);
        } else if (name == "load_post_clear") {
          keys.missing.clear();
          keys.unexpected.clear();
        }
      });
}

void run_load_step(const std::string& name, const Texts& given, LoadStep& step) {
  if (name == "load_strip") rename_all(step.state_dict, step.prefix + given[0] + ".", step.prefix);
  if (name == "load_error_then_super") step.error_messages.push_back(given[0]);
  if (name != "load_skip") step.load_own();
  if (name == "load_super_then_drop") drop_all(step.state_dict, step.prefix + given[0] + ".");
  if (name == "load_super_then_forget") step.keys.missing.clear();
  if (name == "load_super_then_add") {
    step.state_dict.set(step.prefix + given[0] + ".added", some_tensor());
  }
}

void replace_load(Module& module, const Json& hook, Log& log) {
  const std::string name = hook[0];
  module.replace_load_from_state_dict([name, given = arguments(hook), &log](LoadStep& step) {
    log.push_back(load_line(name, step));
    run_load_step(name, given, step);
  });
}

// Extra state.

std::string said(const StateItem& item) {
  if (item.value() == nullptr) return "tensor";
  const std::string name = item.value()->class_name();
  if (name == "int") return name + " " + std::to_string(*item.value()->integer());
  if (name == "str") return name + " " + std::string(*item.value()->text());
  return name;
}

GetExtraState getter(const Json& what, const std::shared_ptr<std::int64_t>& calls) {
  if (what == "int") return [] { return StateValue::of_integer(42); };
  if (what == "str") return [] { return StateValue::of_text("text"); };
  if (what == "tensor") return [] { return some_tensor(); };
  if (what == "calls") return [=] { return StateValue::of_integer(*calls); };
  return nullptr;
}

SetExtraState setter(const Json& how, Log& log) {
  if (how.is_null()) return nullptr;
  return [is_refusal = how == "raise", &log](const StateItem& item) -> Result<void> {
    log.push_back("set_extra_state " + said(item));
    if (is_refusal) return Error(ErrorCode::kMismatch, "it does not fit");
    return {};
  };
}

}  // namespace

void register_hooks(Module& module, const Json& hooks, Log& log) {
  const auto calls = std::make_shared<std::int64_t>(0);
  for (const Json& hook : hooks) {
    const std::string name = hook[0];
    if (name == "sd_pre") {
      module.register_state_dict_pre_hook(
          [=, &log](Module&, std::string_view prefix, bool keep_vars) {
            ++*calls;
            log.push_back(save_line(name, prefix, keep_vars));
          });
    } else if (name.starts_with("sd_post")) {
      register_save_post(module, hook, log);
    } else if (name.starts_with("save_")) {
      replace_save(module, hook, log);
    } else if (name.starts_with("load_pre")) {
      register_load_pre(module, hook, log);
    } else if (name.starts_with("load_post")) {
      register_load_post(module, hook, log);
    } else if (name.starts_with("load_")) {
      replace_load(module, hook, log);
    } else {
      module.register_extra_state(getter(hook[1], calls), setter(hook[2], log));
    }
  }
}

}  // namespace weightmap::tests
