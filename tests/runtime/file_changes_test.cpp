// SPDX-License-Identifier: Apache-2.0
// What happens to a file after it was opened: by check(), and under a guard.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>

#include <doctest/doctest.h>

#include "weightmap/prefault.h"
#include "weightmap/weight_file.h"

#include "support/file_bytes.h"
#include "support/patterned_model.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using tests::in_child;
using tests::TempDir;
using tests::write_file;

constexpr std::size_t kPageBytes = 4'096;
constexpr std::size_t kTensorBytes = std::size_t{1} << 20U;

struct Files {
  Files() {
    write_file(path, base);
    write_file(dir / "delta.wmap", tests::model_over(base, "base.wmap", kTensorBytes));
  }
  WeightFile open(const std::string& name, const OpenOptions& options = {}) const {
    auto file = WeightFile::open(dir / name, options);
    REQUIRE_MESSAGE(file, file.error().message());
    return *file;
  }
  TempDir dir;
  std::string base = tests::patterned_model({kTensorBytes, kTensorBytes});
  std::string path = dir / "base.wmap";
};

void expect_changed(const WeightFile& file, std::string_view what) {
  const auto checked = file.check();
  REQUIRE_FALSE(checked);
  CAPTURE(checked.error().message());
  CHECK(checked.error().code() == ErrorCode::kCorrupt);
  CHECK(checked.error().message().find("base.wmap: ") != std::string::npos);
  CHECK(checked.error().message().find(what) != std::string::npos);
}

// Through a volatile pointer, so that the byte is read where the test says.
int touch(const WeightFile& file, std::string_view name, std::size_t offset) {
  const std::byte* const at = file.find(name)->data() + offset;
  return static_cast<int>(*static_cast<const volatile std::byte*>(at));
}

TEST_SUITE_BEGIN("runtime/file_changes");

TEST_CASE("what nobody touched is as it was, also when its path leads to another file") {
  const Files files;
  const WeightFile base = files.open("base.wmap");
  const WeightFile delta = files.open("delta.wmap");
  CHECK(base.check());
  CHECK(delta.check());
  write_file(files.dir / "new", tests::patterned_model({64}));
  std::filesystem::rename(files.dir / "new", files.path);
  CHECK(base.check());
  CHECK(delta.check());
  std::filesystem::remove(files.path);
  CHECK(base.check());
}

TEST_CASE("a file that is cut short is told, of a data file, too") {
  const Files files;
  const WeightFile base = files.open("base.wmap");
  const WeightFile delta = files.open("delta.wmap");
  std::filesystem::resize_file(files.path, 64 * kPageBytes);
  expect_changed(base, "was cut short since it was opened, it has 262144 bytes vs");
  expect_changed(delta, "was cut short since it was opened");
}

TEST_CASE("a file that is replaced in place is told") {
  const Files files;
  const WeightFile base = files.open("base.wmap");
  const WeightFile delta = files.open("delta.wmap");
  write_file(files.path, tests::patterned_model({kTensorBytes, 2 * kTensorBytes}));
  expect_changed(base, "was replaced in place");
  expect_changed(delta, "is not the file that the weight file was made for");
}

TEST_CASE("a file whose blob is written to is told by its time") {
  const Files files;
  const WeightFile base = files.open("base.wmap");
  std::filesystem::last_write_time(
      files.path, std::filesystem::last_write_time(files.path) + std::chrono::seconds(1));
  expect_changed(base, "was written to since it was opened, or its time was set");
}

TEST_CASE("without a guard a page that is gone kills, and prefault tells of it before") {
  const Files files;
  const WeightFile base = files.open("base.wmap");
  std::filesystem::resize_file(files.path, kPageBytes);
  const auto prefaulted = prefault(base);
  REQUIRE_FALSE(prefaulted);
  CHECK(prefaulted.error().code() == ErrorCode::kIo);
  const int status = in_child([&] {
    std::signal(SIGBUS, SIG_DFL);
    return touch(base, "t1", kTensorBytes - 1) == 0;
  });
  CHECK(tests::was_killed_by(status, SIGBUS));
}

TEST_CASE("under a guard a page that is gone is zeros, and the tensor is named") {
  const Files files;
  const WeightFile delta = files.open("delta.wmap", {.guard = true});
  CHECK(delta.report().files[1].is_guarded);
  CHECK_FALSE(delta.report().is_guard_replaced);
  CHECK_FALSE(delta.has_faults());
  std::filesystem::resize_file(files.path, 64 * kPageBytes);
  CHECK(touch(delta, "t0", 0) == 1);
  CHECK_FALSE(delta.has_faults());
  CHECK(touch(delta, "t0", kTensorBytes - 1) == 0);
  CHECK(delta.has_faults());
  const auto faults = delta.faults();
  REQUIRE(faults.size() == 1);
  CHECK(faults[0].data_file == 1);
  CHECK(faults[0].end_bytes - faults[0].begin_bytes <= kPageBytes);
  CHECK(faults[0].tensors == std::vector<std::string_view>{"t0"});
  expect_changed(delta, "was cut short");
  // The file is whole again, the memory is not.
  write_file(files.path, files.base);
  std::filesystem::last_write_time(files.path, std::filesystem::last_write_time(files.path));
  CHECK(delta.has_faults());
}

TEST_CASE("a guard's faults are what check tells when the file is as it was") {
  const Files files;
  const auto time = std::filesystem::last_write_time(files.path);
  const WeightFile base = files.open("base.wmap", {.guard = true});
  std::filesystem::resize_file(files.path, 2 * kPageBytes);
  CHECK(touch(base, "t0", kTensorBytes / 2) == 0);
  CHECK(touch(base, "t1", 0) == 0);
  write_file(files.path, files.base);
  std::filesystem::last_write_time(files.path, time);
  expect_changed(base, "could not be read when it was touched, and was zeros, in `t0`");
  CHECK(base.faults().size() == 2);
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
