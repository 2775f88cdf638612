// SPDX-License-Identifier: Apache-2.0
#include "output.h"

#include <cctype>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "stop_signal.h"
#include "terminal.h"

namespace weightmap::tool {
namespace {

int first_write_error = 0;  // of standard output

void remember_write_error() {
  if (first_write_error == 0) first_write_error = errno;
}

void print_error(std::string_view message, std::string_view hint) {
  const Screen screen = screen_of(stderr);
  std::string text = coloured(screen, Colour::kRed, "weightmap:") + " " + printable(message) + "\n";
  if (!hint.empty())
    text += coloured(screen, Colour::kBold, "hint:") + " " + printable(hint) + "\n";
  std::fflush(stdout);  // what was told before the error stands before it
  std::fwrite(text.data(), 1, text.size(), stderr);
}

int exit_code(ErrorCode code, int failed) {
  const bool stopped = code == ErrorCode::kCancelled && caught_signal() != 0;
  return stopped ? kSignalled + caught_signal() : failed;
}

}  // namespace

void put(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) < text.size()) remember_write_error();
}

std::string json_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void print_json(const Json& object) {
  std::string_view before = "{\n";
  for (const auto& [key, value] : object.items()) {
    print("{} {}: {}", before, json_text(key), json_text(value));
    before = ",\n";
  }
  put("\n}\n");
}

Json error_json(const Error& error, std::string_view hint) {
  Json told{{"code", error_code_name(error.code())}, {"message", error.message()}};
  if (!hint.empty()) told["hint"] = hint;
  return {{"error", std::move(told)}};
}

int report(const Error& error, Style style, std::string_view hint, int failed) {
  if (style == Style::kJson) {
    print_json(error_json(error, hint));
  } else {
    print_error(error.message(), hint);
  }
  return exit_code(error.code(), failed);
}

int report_wrong_usage(std::string message, const std::string& command) {
  // The parser's sentences begin with a capital; names of operands are all capitals.
  const bool is_sentence =
      message.size() > 1 && std::islower(static_cast<unsigned char>(message[1])) != 0;
  if (is_sentence)
    message[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(message[0])));
  print_error(message, fmt::format("see weightmap {}--help", command.empty() ? "" : command + " "));
  return kWrongUsage;
}

bool flush_output() {
  if (std::fflush(stdout) != 0) remember_write_error();
  return first_write_error == 0;
}

int finish_output(int code, int failed) {
  if (flush_output()) return code;
  // Whoever read the pipe has seen enough: not an error, but not all was told either.
  if (first_write_error == EPIPE) return kSignalled + SIGPIPE;
  print_error(fmt::format("standard output: {}", std::strerror(first_write_error)), {});
  return failed;
}

}  // namespace weightmap::tool
