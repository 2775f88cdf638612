// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "weightmap/convert.h"

#include "output.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

// Options and operands as all commands have them. What they are parsed into must outlive the
// parser.
namespace weightmap::tool {

CLI::Option* add_operand(CLI::App& app, std::string& path, const char* name, const char* what);
void add_key(CLI::App& app, std::string& key, const char* name, const char* what);
// --align: a power of two from `least` (if absent) to 2 MiB.
void add_alignment(CLI::App& app, std::uint32_t& bytes, std::uint32_t least, const char* what);
void add_shard_size(CLI::App& app, std::uint64_t& bytes);  // --max-shard-size
void add_jobs(CLI::App& app, unsigned& jobs);              // --jobs
// --include, --exclude, --strip-prefix, --rename.
void add_selection(CLI::App& app, SelectionOptions& selection);
void add_float_dtype(CLI::App& app, std::optional<Dtype>& dtype);
void add_json(CLI::App& app, Style& style);

}  // namespace weightmap::tool
