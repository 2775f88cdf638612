// SPDX-License-Identifier: Apache-2.0
#include "io/directory.h"

#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <vector>

#include <doctest/doctest.h>

#include "support/file_bytes.h"
#include "support/temp_dir.h"

namespace weightmap::io {
namespace {

using tests::TempDir;
using tests::write_file;

Directory opened(const std::string& path) {
  auto directory = Directory::open(path);
  REQUIRE_MESSAGE(directory.has_value(), directory.error().message());
  return *std::move(directory);
}

TEST_SUITE_BEGIN("io/directory");

TEST_CASE("a file in a directory is opened by its name, also through a link") {
  const TempDir temp;
  write_file(temp / "weights", "12345");
  std::filesystem::create_symlink("weights", temp / "link");
  const Directory directory = opened(temp.path());
  for (const std::string_view name : {"weights", "link"}) {
    CAPTURE(name);
    const auto file = directory.open_file(name);
    REQUIRE(file.has_value());
    CHECK(file->size_bytes() == 5);
    CHECK(file->path() == temp / std::string(name));
  }
}

TEST_CASE("the directory stays the same when its path is given to another") {
  const TempDir temp;
  std::filesystem::create_directory(temp / "old");
  write_file(temp / "old/weights", "old");
  const Directory directory = opened(temp / "old");
  std::filesystem::rename(temp / "old", temp / "kept");
  std::filesystem::create_directory(temp / "old");
  write_file(temp / "old/weights", "newer");
  const auto file = directory.open_file("weights");
  REQUIRE(file.has_value());
  CHECK(file->size_bytes() == 3);
}

TEST_CASE("the directory of a file is found by the file's path") {
  const TempDir temp;
  write_file(temp / "weights", "12345");
  const auto directory = Directory::containing(temp / "model.wmap");
  REQUIRE(directory.has_value());
  CHECK(directory->open_file("weights").has_value());
  CHECK(Directory::containing("name")->path() == ".");
  CHECK(Directory::containing("/name")->path() == "/");
}

TEST_CASE("a name that leads out of the directory is refused") {
  const TempDir temp;
  write_file(temp / "weights", "12345");
  std::filesystem::create_directory(temp / "inner");
  const Directory directory = opened(temp / "inner");
  for (const std::string_view name :
       {std::string_view(""), std::string_view("."), std::string_view(".."),
        std::string_view("../weights"), std::string_view("/etc/passwd"),
        std::string_view("weights\0.txt", 12)}) {
    CAPTURE(name);
    const auto file = directory.open_file(name);
    REQUIRE_FALSE(file.has_value());
    CHECK(file.error().code() == ErrorCode::kInvalidArgument);
    CHECK(file.error().message().starts_with(temp / "inner"));
  }
}

TEST_CASE("what is no regular file is refused without waiting for it") {
  const TempDir temp;
  REQUIRE(::mkfifo((temp / "pipe").c_str(), 0600) == 0);
  std::filesystem::create_directory(temp / "inner");
  std::filesystem::create_symlink("/dev/zero", temp / "device");
  const Directory directory = opened(temp.path());
  for (const std::string_view name : {"pipe", "inner", "device"}) {
    CAPTURE(name);
    const auto file = directory.open_file(name);
    REQUIRE_FALSE(file.has_value());
    CHECK(file.error().code() == ErrorCode::kInvalidArgument);
  }
}

TEST_CASE("what is not there is not found") {
  const TempDir temp;
  CHECK(opened(temp.path()).open_file("weights").error().code() == ErrorCode::kNotFound);
  CHECK(Directory::open(temp / "missing").error().code() == ErrorCode::kNotFound);
  write_file(temp / "file", "");
  CHECK(Directory::open(temp / "file").error().code() == ErrorCode::kNotFound);
}

TEST_CASE("the names in a directory are listed in order, each time alike") {
  const TempDir temp;
  CHECK(opened(temp.path()).names()->empty());
  for (const std::string_view name : {"b", ".hidden", "a", "a\nb"})
    write_file(temp / std::string(name), "");
  std::filesystem::create_directory(temp / "inner");
  const Directory directory = opened(temp.path());
  for (int i = 0; i < 2; ++i) {
    const auto names = directory.names();
    REQUIRE(names.has_value());
    CHECK(*names == std::vector<std::string>{".hidden", "a", "a\nb", "b", "inner"});
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap::io
