// SPDX-License-Identifier: Apache-2.0
#include "arguments.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstdint>
#include <optional>

#include <CLI/CLI.hpp>

namespace weightmap::tool {
namespace {

constexpr std::uint64_t kLargestAlignment = 2U << 20U;

struct Unit {
  std::string_view name;
  std::uint64_t bytes;
};
constexpr std::uint64_t kKibi = 1U << 10U;
constexpr std::uint64_t kMebi = 1U << 20U;
constexpr std::uint64_t kGibi = 1U << 30U;
constexpr std::array kUnits{Unit{"", 1},        Unit{"k", kKibi},      Unit{"KiB", kKibi},
                            Unit{"kB", 1000},   Unit{"KB", 1000},      Unit{"M", kMebi},
                            Unit{"MiB", kMebi}, Unit{"MB", 1000000},   Unit{"G", kGibi},
                            Unit{"GiB", kGibi}, Unit{"GB", 1000000000}};

std::optional<std::uint64_t> parse_size(std::string_view text) {
  std::uint64_t count = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), count);
  text.remove_prefix(static_cast<std::size_t>(parsed.ptr - text.data()));
  const auto* const unit = std::ranges::find(kUnits, text, &Unit::name);
  if (parsed.ec != std::errc() || unit == kUnits.end()) return std::nullopt;
  if (count > UINT64_MAX / unit->bytes) return std::nullopt;
  return count * unit->bytes;
}

// Replaces "4k" by "4096". Returns what is wrong with it, nothing if it may be taken.
std::string parse_alignment(std::string& text, std::uint32_t least) {
  const std::uint64_t bytes = parse_size(text).value_or(0);
  if (!std::has_single_bit(bytes) || bytes < least || bytes > kLargestAlignment) {
    return fmt::format("an alignment is a power of two from {} to 2MiB, not {}", least, text);
  }
  text = std::to_string(bytes);
  return {};
}

// The same for a size that something may have.
std::string parse_shard_size(std::string& text) {
  const std::uint64_t bytes = parse_size(text).value_or(0);
  if (bytes == 0) return fmt::format("a size is a number of bytes, 500MB or 2GiB, not {}", text);
  text = std::to_string(bytes);
  return {};
}

void add_patterns(CLI::App& app,
                  std::vector<std::string>& patterns,
                  const char* name,
                  const char* what) {
  app.add_option(name, patterns, what)->type_name("PATTERN")->expected(1)->take_all();
}

// Returns what is wrong with it, nothing if it may be taken.
std::string check_rename(const std::string& rule) {
  if (rule.find('=') != std::string::npos) return {};
  return fmt::format("a rename is PATTERN=NAME, not {}", rule);
}

RenameRule parse_rename(const std::string& rule) {
  const auto equals = rule.find('=');
  return {.pattern = rule.substr(0, equals), .replacement = rule.substr(equals + 1)};
}

}  // namespace

CLI::Option* add_operand(CLI::App& app, std::string& path, const char* name, const char* what) {
  return app.add_option(name, path, what)->type_name("");
}

void add_key(CLI::App& app, std::string& key, const char* name, const char* what) {
  app.add_option(name, key, what)->type_name("KEY");
}

void add_alignment(CLI::App& app, std::uint32_t& bytes, std::uint32_t least, const char* what) {
  const std::string help = fmt::format("{}: a power of two, {} (if absent) to 2MiB", what, least);
  const auto parse = [least](std::string& text) { return parse_alignment(text, least); };
  app.add_option("--align", bytes, help)->type_name("N")->transform(CLI::Validator(parse, ""));
}

void add_shard_size(CLI::App& app, std::uint64_t& bytes) {
  app.add_option("--max-shard-size", bytes,
                 "spread OUT over files beside it that are not larger: 2GiB, 500MB")
      ->type_name("SIZE")
      ->transform(CLI::Validator(parse_shard_size, ""));
}

void add_jobs(CLI::App& app, unsigned& jobs) {
  app.add_option("--jobs", jobs,
                 "so many segments at the same time; if absent, as many as processors, at most 8")
      ->type_name("N")
      ->check(CLI::Range(0U, 64U).description(""));
}

void add_selection(CLI::App& app, SelectionOptions& selection) {
  add_patterns(app, selection.include, "--include", "take only the tensors that match; repeatable");
  add_patterns(app, selection.exclude, "--exclude", "leave out the tensors that match; repeatable");
  app.add_option("--strip-prefix", selection.strip_prefix, "take this away from where names begin")
      ->type_name("PREFIX");
  app.add_option_function<std::vector<std::string>>(
         "--rename",
         [&selection](const std::vector<std::string>& rules) {
           for (const std::string& rule : rules)
             selection.rename.push_back(parse_rename(rule));
         },
         "call them otherwise: 'encoder.*=*'; repeatable")
      ->type_name("PATTERN=NAME")
      ->check(CLI::Validator(check_rename, ""))
      ->expected(1)
      ->take_all();
}

void add_float_dtype(CLI::App& app, std::optional<Dtype>& dtype) {
  app.add_option_function<std::string>(
         "--dtype", [&dtype](const std::string& name) { dtype = dtype_from_name(name); },
         "store all floating-point values so: float16, bfloat16 or float32")
      ->type_name("DTYPE")
      ->check(CLI::IsMember({"float16", "bfloat16", "float32"}));
}

void add_json(CLI::App& app, Style& style) {
  app.add_flag_callback(
      "--json", [&style] { style = Style::kJson; }, "print one JSON object");
}

}  // namespace weightmap::tool
