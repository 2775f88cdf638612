// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <iterator>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "weightmap/error.h"

// Where results and errors go. Results: standard output. Errors: one line `weightmap: <message>`
// on standard error and perhaps a second one, `hint: ...`; with --json one object on standard
// output instead, so that a program always reads exactly one object, and nothing on standard error.
namespace weightmap::tool {

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kWrongUsage = 2;
inline constexpr int kDifferent = 1;  // of diff, as diff(1) has them
inline constexpr int kDiffFailed = 2;
inline constexpr int kSignalled = 128;  // plus the signal's number, as a shell does

using Json = nlohmann::ordered_json;

// Writes to standard output. A failure is remembered for finish_output().
void put(std::string_view text);

template <typename... Args>
void print(fmt::format_string<Args...> format, Args&&... args) {
  fmt::memory_buffer text;
  fmt::format_to(std::back_inserter(text), format, std::forward<Args>(args)...);
  put({text.data(), text.size()});
}

// Without spaces, on one line; what is not UTF-8 is replaced.
std::string json_text(const Json& json);
void print_json(const Json& object);  // one field a line
Json error_json(const Error& error, std::string_view hint);

enum class Style : bool { kText, kJson };

// Tells why a command failed; returns `failed`, or what goes with the signal that stopped it.
int report(const Error& error, Style style, std::string_view hint = {}, int failed = kFailed);

// The command line could not be understood, from the given command on: always text.
int report_wrong_usage(std::string message, const std::string& command);

// Writes out what was put so far, for whoever follows it. False: standard output takes no more.
bool flush_output();

// Flushes. Returns `code`, or `failed` when standard output could not take everything, or what a
// broken pipe ends with.
int finish_output(int code, int failed = kFailed);

}  // namespace weightmap::tool
