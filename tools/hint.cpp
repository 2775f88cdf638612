// SPDX-License-Identifier: Apache-2.0
#include "hint.h"

#include <array>
#include <cstdio>
#include <memory>
#include <string_view>

#include "weightmap/convert.h"

namespace weightmap::tool {
namespace {

constexpr std::string_view kPlainInShell =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+=:,@%";

std::string first_bytes(const std::string& path) {
  std::array<char, 64> bytes{};
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"),
                                                             &std::fclose);
  if (!file) return {};
  return {bytes.data(), std::fread(bytes.data(), 1, bytes.size(), file.get())};
}

// The path as a shell takes it.
std::string shell_word(std::string_view path) {
  std::string word = path.starts_with('-') ? "./" : "";  // no option
  if (path.find_first_not_of(kPlainInShell) == std::string_view::npos) return word.append(path);
  word += "'";
  for (const char character : path) {
    word += character == '\'' ? std::string("'\\''") : std::string(1, character);
  }
  return word + "'";
}

}  // namespace

std::string hint_for_weight_file(const Error& error, const std::string& path) {
  if (error.code() != ErrorCode::kWrongKind) return {};
  if (read_checkpoint(path)) return "convert it first: weightmap convert " + shell_word(path);
  const bool is_pointer = first_bytes(path).starts_with("version https://git-lfs");
  return is_pointer ? "fetch the file that it stands for: git lfs pull" : "";
}

}  // namespace weightmap::tool
