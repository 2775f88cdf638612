// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/script_code.h"

#include <optional>

namespace weightmap::checkpoint {
namespace {

// Takes the first line away from the text.
std::string_view take_line(std::string_view& text) {
  const auto end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

// `class NAME(Module):`
std::optional<std::string_view> class_name(std::string_view line) {
  constexpr std::string_view kClass = "class ";
  if (!line.starts_with(kClass)) return std::nullopt;
  line.remove_prefix(kClass.size());
  const auto end = line.find('(');
  return end == std::string_view::npos ? std::nullopt : std::optional(line.substr(0, end));
}

// `["a", "b", ]`
std::vector<std::string> names_in(std::string_view list) {
  std::vector<std::string> names;
  for (auto begin = list.find('"'); begin != std::string_view::npos; begin = list.find('"')) {
    list.remove_prefix(begin + 1);
    const auto end = list.find('"');
    if (end == std::string_view::npos) break;
    names.emplace_back(list.substr(0, end));
    list.remove_prefix(end + 1);
  }
  return names;
}

}  // namespace

std::map<std::string, ScriptClass, std::less<>> script_classes(std::string_view code) {
  constexpr std::string_view kParameters = "  __parameters__ = [";
  constexpr std::string_view kBuffers = "  __buffers__ = [";
  std::map<std::string, ScriptClass, std::less<>> classes;
  ScriptClass* of = nullptr;
  while (!code.empty()) {
    const std::string_view line = take_line(code);
    if (const auto name = class_name(line)) {
      of = &classes[std::string(*name)];
    } else if (of != nullptr && line.starts_with(kParameters)) {
      of->parameters = names_in(line.substr(kParameters.size()));
    } else if (of != nullptr && line.starts_with(kBuffers)) {
      of->buffers = names_in(line.substr(kBuffers.size()));
    }
  }
  return classes;
}

}  // namespace weightmap::checkpoint
