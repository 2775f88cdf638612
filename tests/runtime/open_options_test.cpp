// SPDX-License-Identifier: Apache-2.0
// What becomes of the options is held against /proc, and against other processes.
#include "weightmap/open_options.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <memory>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>

#include <doctest/doctest.h>

#include "weightmap/load.h"
#include "weightmap/weight_file.h"

#include "support/file_bytes.h"
#include "support/patterned_model.h"
#include "support/process.h"
#include "support/smaps.h"
#include "support/statfs_answer.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using tests::bytes_of_mapping;
using tests::exited_well;
using tests::in_child;
using tests::resident_bytes_of_mapping;
using tests::StatfsAnswer;
using tests::TempDir;

constexpr std::size_t kPageBytes = 4'096;
constexpr std::size_t kTensorBytes = std::size_t{4} << 20U;
constexpr long kNfs = 0x6969;

class Model {
 public:
  Model() { tests::write_file(path(), tests::patterned_model({kTensorBytes, kTensorBytes})); }
  std::string path() const { return dir_ / "model.wmap"; }
  WeightFile open(const OpenOptions& options) const {
    auto file = WeightFile::open(path(), options);
    REQUIRE_MESSAGE(file, file.error().message());
    return *file;
  }

 private:
  TempDir dir_;
};

bool is_all(std::span<const std::byte> bytes, int value) {
  return std::ranges::all_of(bytes, [&](std::byte byte) { return byte == std::byte(value); });
}

std::span<const std::byte> bytes_of_tensor(const WeightFile& file, std::uint32_t number) {
  return {file.tensor(number).data(), kTensorBytes};
}

MappingReport own_report(const WeightFile& file) {
  const OpenReport report = file.report();
  REQUIRE(report.files.size() == 1);
  return report.files[0];
}

bool is_mapped(const std::string& path) {
  return tests::read_file("/proc/self/maps").find(path) != std::string::npos;
}

TEST_SUITE_BEGIN("runtime/open_options");

TEST_CASE("by default the file is mapped, read-only, and no page of it is touched") {
  const Model model;
  const WeightFile file = model.open({});
  const MappingReport report = own_report(file);
  CHECK(report.asked == Mapping::kAutomatic);
  CHECK(report.got == Mapping::kShared);
  CHECK(report.reason.empty());
  CHECK(report.path == model.path());
  CHECK(report.size_bytes == std::filesystem::file_size(model.path()));
  CHECK(report.resident_bytes == 0);
  CHECK(report.locked_bytes == 0);
  CHECK_FALSE(report.is_guarded);
  CHECK(tests::read_file("/proc/self/maps").find("r--s 00000000") != std::string::npos);
  CHECK(is_all(bytes_of_tensor(file, 0), 1));
  CHECK(own_report(file).resident_bytes == resident_bytes_of_mapping(model.path()));
  CHECK(file.report().text().find("shared") != std::string::npos);
}

TEST_CASE("a private mapping: what one process writes no other sees, and costs a page a page") {
  const Model model;
  const WeightFile file = model.open({.mapping = Mapping::kPrivate});
  CHECK(own_report(file).got == Mapping::kPrivate);
  CHECK(is_all(bytes_of_tensor(file, 0), 1));  // all pages are there now
  CHECK(bytes_of_mapping(model.path(), "Anonymous:") == 0);
  const auto writable = file.writable_bytes(0);
  REQUIRE_MESSAGE(writable, writable.error().message());
  REQUIRE(writable->size() == kTensorBytes);
  CHECK(writable->data() == file.tensor(0).data());
  for (std::size_t page = 0; page < 3; ++page)
    (*writable)[page * 64 * kPageBytes] = std::byte{9};
  CHECK(file.tensor(0).data()[0] == std::byte{9});
  CHECK(bytes_of_mapping(model.path(), "Anonymous:") == 3 * kPageBytes);
  CHECK(is_all(bytes_of_tensor(model.open({}), 0), 1));
  CHECK(exited_well(in_child([&] { return is_all(bytes_of_tensor(model.open({}), 0), 1); })));
  CHECK(tests::read_file(model.path()) == tests::patterned_model({kTensorBytes, kTensorBytes}));
}

TEST_CASE("a bound slot sees what is written through a private mapping") {
  struct Net : Module {
    Buffer<float> t0{*this, "t0", {kTensorBytes / 4}};
    Buffer<float> t1{*this, "t1", {kTensorBytes / 4}};
  };
  const Model model;
  const WeightFile file = model.open({.mapping = Mapping::kPrivate});
  Net net;
  REQUIRE(bind(net, file).ok());
  const float patched = 42;
  std::memcpy(file.writable_bytes(1)->data(), &patched, sizeof patched);
  CHECK(net.t1.values()[0] == 42);
}

TEST_CASE("what is shared or copied is not written to") {
  const Model model;
  for (const Mapping mapping : {Mapping::kShared, Mapping::kCopied}) {
    const auto refused = model.open({.mapping = mapping}).writable_bytes(1);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == ErrorCode::kUnsupported);
    CHECK(refused.error().message().find("`t1`") != std::string::npos);
  }
}

TEST_CASE("a copy is in memory of this process, and the file is not mapped") {
  const Model model;
  std::uint64_t last = 0;
  std::uint64_t total = 0;
  bool was_mapped = false;  // there are file systems without mappings
  const WeightFile file = model.open(
      {.mapping = Mapping::kCopied, .progress = [&](std::uint64_t done, std::uint64_t all) {
         was_mapped = was_mapped || is_mapped(model.path());
         last = done;
         total = all;
         return true;
       }});
  CHECK(own_report(file).got == Mapping::kCopied);
  CHECK(tests::read_file("/proc/self/maps").find(model.path()) == std::string::npos);
  CHECK(last > 0);
  CHECK(total == file.size_bytes());
  CHECK_FALSE(was_mapped);
  tests::write_file(model.path(), "gone");
  CHECK(is_all(bytes_of_tensor(file, 0), 1));
  CHECK(is_all(bytes_of_tensor(file, 1), 2));
}

TEST_CASE("where a mapping is slow and unsafe the file is copied, and the report says why") {
  const Model model;
  const StatfsAnswer nfs(kNfs);
  const MappingReport report = own_report(model.open({}));
  CHECK(report.got == Mapping::kCopied);
  CHECK(report.file_system == "NFS");
  CHECK(report.reason.find("NFS") != std::string::npos);
  const MappingReport overruled = own_report(model.open({.mapping = Mapping::kShared}));
  CHECK(overruled.got == Mapping::kShared);
  CHECK(overruled.file_system == "NFS");
}

TEST_CASE("copying can be cancelled") {
  const Model model;
  const auto file = WeightFile::open(
      model.path(), {.mapping = Mapping::kCopied,
                     .progress = [](std::uint64_t, std::uint64_t) { return false; }});
  REQUIRE_FALSE(file);
  CHECK(file.error().code() == ErrorCode::kCancelled);
}

TEST_CASE("what is no weight file is refused before it is copied") {
  const TempDir dir;
  tests::write_file(dir / "a.wmap", std::string(std::size_t{64} << 20U, 'x'));
  bool was_told = false;
  const auto file = WeightFile::open(
      dir / "a.wmap", {.mapping = Mapping::kCopied,
                       .progress = [&](std::uint64_t, std::uint64_t) { return was_told = true; }});
  REQUIRE_FALSE(file);
  CHECK(file.error().code() == ErrorCode::kWrongKind);
  CHECK_FALSE(was_told);
}

TEST_CASE("prefault before return: all pages are there") {
  const Model model;
  const WeightFile file = model.open({.prefault = Prefault::kBeforeReturn});
  CHECK(resident_bytes_of_mapping(model.path()) >= file.size_bytes());
  CHECK(file.report().prefaulted_bytes == file.size_bytes());
  CHECK(file.report().prefault == Prefault::kBeforeReturn);
}

TEST_CASE("prefault before return: what cannot be read is an error of open, cancelling too") {
  const Model model;
  const auto cancelled = WeightFile::open(
      model.path(), {.prefault = Prefault::kBeforeReturn,
                     .progress = [](std::uint64_t, std::uint64_t) { return false; }});
  REQUIRE_FALSE(cancelled);
  CHECK(cancelled.error().code() == ErrorCode::kCancelled);
  const auto cut = WeightFile::open(
      model.path(),
      {.prefault = Prefault::kBeforeReturn, .progress = [&](std::uint64_t, std::uint64_t) {
         std::filesystem::resize_file(model.path(), kPageBytes);
         return true;
       }});
  REQUIRE_FALSE(cut);
  CHECK(cut.error().code() == ErrorCode::kIo);
}

TEST_CASE("prefault in the background: the pages come while the program goes on") {
  const Model model;
  std::atomic<std::uint64_t> last = 0;
  const WeightFile file = model.open(
      {.prefault = Prefault::kBackground, .progress = [&](std::uint64_t done, std::uint64_t) {
         last = done;
         return true;
       }});
  while (last < file.size_bytes())
    std::this_thread::yield();
  CHECK(resident_bytes_of_mapping(model.path()) >= file.size_bytes());
  CHECK(file.report().prefault_problem.empty());
}

TEST_CASE("prefault in the background: it ends with the file, and what goes wrong is told") {
  const Model model;
  std::atomic<bool> is_in = false;
  std::atomic<bool> is_let_go = false;
  const auto wait = [&](std::uint64_t, std::uint64_t) {
    is_in = true;
    while (!is_let_go)
      std::this_thread::yield();
    return true;
  };
  auto file = std::make_unique<WeightFile>(
      model.open({.prefault = Prefault::kBackground, .progress = wait}));
  while (!is_in)
    std::this_thread::yield();
  std::filesystem::resize_file(model.path(), kPageBytes);
  is_let_go = true;
  while (file->report().prefault_problem.empty())
    std::this_thread::yield();
  CHECK(file->report().prefault_problem.find("cannot be read") != std::string::npos);
  CHECK(file->report().text().find("ended early") != std::string::npos);
  file.reset();  // joins: nothing is left that could run
}

TEST_CASE("locked pages are locked, as the kernel tells") {
  const Model model;
  const WeightFile file = model.open({.lock = true});
  const MappingReport report = own_report(file);
  if (!report.lock_problem.empty()) {
    MESSAGE("SKIPPED: this process may not lock 8 MiB: ", report.lock_problem);
    return;
  }
  CHECK(report.locked_bytes == file.size_bytes());
  CHECK(bytes_of_mapping(model.path(), "Locked:") >= file.size_bytes());
  CHECK(resident_bytes_of_mapping(model.path()) >= file.size_bytes());
  const auto refused = file.release();
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == ErrorCode::kIo);
}

TEST_CASE("a lock of memory ends with the file") {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  MESSAGE("SKIPPED: sanitizers keep munlock from doing anything");
  return;
#endif
  const TempDir dir;
  tests::write_file(dir / "small.wmap", tests::patterned_model({4 * kPageBytes}));
  const auto locked_kib = [] {
    const std::string status = tests::read_file("/proc/self/status");
    return std::stoull(status.substr(status.find("VmLck:") + 6));
  };
  const auto before = locked_kib();
  for (int i = 0; i < 8; ++i) {
    const auto file =
        WeightFile::open(dir / "small.wmap", {.mapping = Mapping::kCopied, .lock = true});
    REQUIRE(file);
    if (own_report(*file).locked_bytes > 0) CHECK(locked_kib() > before);
  }
  CHECK(locked_kib() == before);
}

TEST_CASE("a locked private mapping has no copies of its own before anything is written") {
  const Model model;
  const WeightFile file = model.open({.mapping = Mapping::kPrivate, .lock = true});
  if (own_report(file).locked_bytes == 0) {
    MESSAGE("SKIPPED: this process may not lock 8 MiB");
    return;
  }
  CHECK(resident_bytes_of_mapping(model.path()) >= file.size_bytes());
  CHECK(bytes_of_mapping(model.path(), "Anonymous:") == 0);
  (*file.writable_bytes(0))[0] = std::byte{9};
  CHECK(bytes_of_mapping(model.path(), "Anonymous:") == kPageBytes);
}

TEST_CASE("without a thread to give everything goes on, or says so") {
  const Model model;
  const int descriptor = ::open(model.path().c_str(), O_RDONLY | O_CLOEXEC);
  CHECK(exited_well(in_child([&] {
    if (!tests::give_up_threads()) return false;
    const auto copied =
        WeightFile::open_descriptor(descriptor, "copied", {.mapping = Mapping::kCopied});
    const auto background =
        WeightFile::open_descriptor(descriptor, "m", {.prefault = Prefault::kBackground});
    if (!copied || !background) return false;
    return is_all(bytes_of_tensor(*copied, 1), 2) && copied->verify()->ok() &&
           background->report().prefault_problem == "m: there is no thread for a prefault";
  })));
  ::close(descriptor);
}

TEST_CASE("a lock that the system does not allow is told, and the file is open") {
  const Model model;
  const int descriptor = ::open(model.path().c_str(), O_RDONLY | O_CLOEXEC);
  CHECK(exited_well(in_child([&] {
    const rlimit none{.rlim_cur = 0, .rlim_max = 0};
    if (::setrlimit(RLIMIT_MEMLOCK, &none) != 0) return false;
    if (::getuid() == 0 && ::setuid(65'534) != 0) return false;  // root may lock all the same
    const auto file = WeightFile::open_descriptor(descriptor, "model", {.lock = true});
    if (!file) return false;
    const MappingReport report = file->report().files[0];
    return report.locked_bytes == 0 && report.lock_problem.find("lock") != std::string::npos &&
           is_all(bytes_of_tensor(*file, 0), 1);
  })));
  ::close(descriptor);
}

TEST_CASE("a released tensor leaves the process, and comes back when it is touched") {
  const Model model;
  const WeightFile file = model.open({.huge_pages = false, .prefault = Prefault::kBeforeReturn});
  const std::uint64_t all = resident_bytes_of_mapping(model.path());
  const auto released = file.release(1);
  REQUIRE_MESSAGE(released, released.error().message());
  const std::uint64_t left = resident_bytes_of_mapping(model.path());
  CHECK(left <= all - kTensorBytes);
  CHECK(left >=
        all - kTensorBytes - (std::uint64_t{4} << 20U));  // pages that others touch, huge ones
  CHECK(is_all(bytes_of_tensor(file, 1), 2));
  REQUIRE(file.release());
  CHECK(resident_bytes_of_mapping(model.path()) == 0);
  CHECK(is_all(bytes_of_tensor(file, 0), 1));
}

TEST_CASE("what is private or copied cannot be released") {
  const Model model;
  for (const Mapping mapping : {Mapping::kPrivate, Mapping::kCopied}) {
    const WeightFile file = model.open({.mapping = mapping});
    for (const Result<void>& refused : {file.release(0), file.release()}) {
      REQUIRE_FALSE(refused);
      CHECK(refused.error().code() == ErrorCode::kUnsupported);
    }
    CHECK(is_all(bytes_of_tensor(file, 0), 1));
  }
}

TEST_CASE("memory is what it is, whatever is asked for") {
  const std::string bytes = tests::patterned_model({64});
  const auto memory = std::make_shared<tests::AlignedBytes>(bytes.size());
  std::memcpy(memory->bytes().data(), bytes.data(), bytes.size());
  const auto file = WeightFile::from_memory(
      memory->bytes(), memory, "memory",
      {.mapping = Mapping::kPrivate, .prefault = Prefault::kBeforeReturn, .guard = true});
  REQUIRE(file);
  const MappingReport report = own_report(*file);
  CHECK(report.file_system == "memory");
  CHECK_FALSE(report.reason.empty());
  CHECK(file->check());
  CHECK_FALSE(file->writable_bytes(0));
}

TEST_CASE("after fork a child reads on, and after exec nothing is left open") {
  const Model model;
  const WeightFile file = model.open({});
  CHECK(exited_well(in_child([&] {
    return is_all(bytes_of_tensor(file, 0), 1) && is_all(bytes_of_tensor(model.open({}), 1), 2);
  })));
  // The shell's own list of what it inherited.
  const std::string inherited = tests::output_of("ls -l /proc/self/fd");
  CHECK(inherited.find("model.wmap") == std::string::npos);
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
