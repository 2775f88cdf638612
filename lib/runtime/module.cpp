// SPDX-License-Identifier: Apache-2.0
// Names and their errors are those of torch.nn.Module.
#include "weightmap/module.h"

#include <algorithm>
#include <cstdlib>
#include <cxxabi.h>
#include <memory>
#include <typeinfo>

#include "base/text.h"
#include "runtime/module_hooks.h"
#include "runtime/slot_home.h"

namespace weightmap {
namespace {

struct Free {
  void operator()(char* text) const { std::free(text); }
};

std::string demangled(const char* type_name) {
  int status = 0;
  const std::unique_ptr<char, Free> text(abi::__cxa_demangle(type_name, nullptr, nullptr, &status));
  return status == 0 ? text.get() : type_name;
}

// "nets::Digits" is Digits to whoever reads a message; template arguments stay.
std::string without_namespaces(const std::string& type) {
  const std::size_t arguments = type.find('<');
  const std::size_t colons = type.rfind("::", arguments);
  return colons == std::string::npos ? type : type.substr(colons + 2);
}

}  // namespace

Module::Module() = default;

Module::~Module() {
  if (home_ != nullptr) home_->forget_module();
}

Module::Module(Module& parent, std::string_view name) {
  parent.register_module(name, *this);
}

std::string Module::class_name() const {
  return without_namespaces(demangled(typeid(*this).name()));
}

void Module::register_parameter(std::string_view name, Slot& slot) {
  add_parameter(name, &slot);
}

void Module::register_parameter(std::string_view name, std::nullptr_t) {
  add_parameter(name, nullptr);
}

void Module::add_parameter(std::string_view name, Slot* slot) {
  if (!accept_name("parameter", name)) return;
  const auto after_parameters = slots_.begin() + static_cast<std::ptrdiff_t>(parameter_count_);
  slots_.insert(after_parameters, {.name = std::string(name), .slot = slot});
  take_home(slot);
  ++parameter_count_;
}

void Module::register_buffer(std::string_view name, Slot& slot, bool persistent) {
  add_buffer(name, &slot, persistent);
}

void Module::register_buffer(std::string_view name, std::nullptr_t, bool persistent) {
  add_buffer(name, nullptr, persistent);
}

void Module::add_buffer(std::string_view name, Slot* slot, bool persistent) {
  if (!accept_name("buffer", name)) return;
  slots_.push_back({.name = std::string(name), .slot = slot, .persistent = persistent});
  take_home(slot);
}

void Module::register_module(std::string_view name, Module& child) {
  if (accept_name("module", name)) {
    children_.push_back({.name = std::string(name), .module = &child});
  }
}

void Module::register_module(std::string_view name, std::nullptr_t) {
  if (accept_name("module", name)) children_.push_back({.name = std::string(name)});
}

std::span<const Module::NamedSlot> Module::own_parameters() const {
  return std::span(slots_).first(parameter_count_);
}

std::span<const Module::NamedSlot> Module::own_buffers() const {
  return std::span(slots_).subspan(parameter_count_);
}

bool Module::accept_name(std::string_view kind, std::string_view name) {
  if (name.find('.') != std::string_view::npos) {
    registration_errors_.push_back(concat(kind, " name can't contain \".\", got: ", name));
  } else if (name.empty()) {
    registration_errors_.push_back(concat(kind, " name can't be empty string \"\""));
  } else if (!take_name(name)) {
    registration_errors_.push_back(concat("attribute '", name, "' already exists"));
  } else {
    return true;
  }
  return false;
}

// Most modules have a few names, which are found faster without a set.
bool Module::take_name(std::string_view name) {
  constexpr std::size_t kFew = 32;
  if (names_.empty()) {
    if (std::ranges::find(slots_, name, &NamedSlot::name) != slots_.end() ||
        std::ranges::find(children_, name, &NamedModule::name) != children_.end()) {
      return false;
    }
    if (slots_.size() + children_.size() < kFew) return true;
    for (const NamedSlot& slot : slots_)
      names_.insert(slot.name);
    for (const NamedModule& child : children_)
      names_.insert(child.name);
  }
  return names_.insert(std::string(name)).second;
}

void Module::take_home(Slot* slot) {
  if (slot == nullptr || slot->home_ != nullptr) return;
  if (home_ == nullptr) home_ = std::make_shared<SlotHome>(*this);
  slot->home_ = home_;
  home_->add_slot();
}

}  // namespace weightmap
