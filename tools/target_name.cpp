// SPDX-License-Identifier: Apache-2.0
#include "target_name.h"

#include <filesystem>
#include <system_error>

namespace weightmap::tool {
namespace {

// The path of a directory without what its name does not need: `a/` and `.` are `a` and `/.../b`.
std::filesystem::path plain_directory(std::filesystem::path path) {
  if (path.empty()) path = ".";
  path = (path / "").parent_path();
  const bool has_name = path.filename() != "." && path.filename() != "..";
  return has_name ? path : (std::filesystem::absolute(path).lexically_normal() / "").parent_path();
}

bool names_directory(const std::filesystem::path& path) {
  std::error_code ignored;
  return path.filename().empty() || std::filesystem::is_directory(path, ignored);
}

}  // namespace

std::string converted_name(const std::string& source) {
  std::filesystem::path path(source);
  if (path.filename() == ".metadata") path.remove_filename();
  if (names_directory(path)) return plain_directory(path).string() + ".wmap";
  const bool is_index = path.extension() == ".json" && path.stem().extension() == ".index";
  if (is_index) path.replace_extension().replace_extension();
  return path.replace_extension(".wmap");
}

std::string adopted_name(const std::string& source) {
  return names_directory(source) ? std::filesystem::path(source) / "model.wmap"
                                 : std::filesystem::path(converted_name(source));
}

}  // namespace weightmap::tool
