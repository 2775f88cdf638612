// SPDX-License-Identifier: Apache-2.0
#include "arguments.h"

#include <bit>

#include <CLI/CLI.hpp>

namespace weightmap::tool {
namespace {

constexpr std::uint64_t kSmallestAlignment = 64;
constexpr std::uint64_t kLargestAlignment = 2U << 20U;

// Replaces "4k" by a number of bytes. Returns what is wrong with it, nothing if it may be taken.
std::string parse_alignment(std::string& text) {
  const std::string written = text;
  std::uint64_t bytes = 0;
  const bool is_size =
      CLI::AsSizeValue(false)(text).empty() && CLI::detail::lexical_cast(text, bytes);
  const bool is_alignment = is_size && std::has_single_bit(bytes) && bytes >= kSmallestAlignment &&
                            bytes <= kLargestAlignment;
  if (is_alignment) return {};
  return fmt::format("an alignment is a power of two from 64 to 2MiB, not {}", written);
}

}  // namespace

CLI::Option* add_operand(CLI::App& app, std::string& path, const char* name, const char* what) {
  return app.add_option(name, path, what)->type_name("");
}

void add_key(CLI::App& app, std::string& key, const char* name, const char* what) {
  app.add_option(name, key, what)->type_name("KEY");
}

void add_alignment(CLI::App& app, std::uint32_t& bytes) {
  app.add_option("--align", bytes, "where segments begin: a power of two, 64 (if absent) to 2MiB")
      ->type_name("N")
      ->transform(CLI::Validator(parse_alignment, ""));
}

void add_json(CLI::App& app, Style& style) {
  app.add_flag_callback(
      "--json", [&style] { style = Style::kJson; }, "print one JSON object");
}

}  // namespace weightmap::tool
