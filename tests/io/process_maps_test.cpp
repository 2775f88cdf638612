// SPDX-License-Identifier: Apache-2.0
// Processes as a directory that looks like /proc has them; tests/runtime/file_stat_test.cpp has
// real ones.
#include "io/process_maps.h"

#include <array>
#include <cerrno>
#include <filesystem>
#include <span>
#include <string>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <doctest/doctest.h>

#include "call_seam.h"
#include "support/file_bytes.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace weightmap::io {
namespace {

using tests::TempDir;
using tests::write_file;

// Writes /proc as the caller says.
class FakeProc {
 public:
  std::string path() const { return dir_.path(); }

  std::string add(const std::string& pid) const {
    std::filesystem::create_directory(dir_ / pid);
    return dir_ / pid;
  }

  void add(const std::string& pid, const std::string& mapping, const std::string& fields) const {
    const std::string process = add(pid);
    write_file(process + "/maps", mapping);
    write_file(process + "/smaps", mapping + fields);
    write_file(process + "/comm", "worker " + pid + "\n");
    write_file(process + "/status",
               "Name:\tworker\nUid:\t1000\t1001\t1002\t1003\nVmPTE:\t  8 kB\n");
  }

 private:
  TempDir dir_;
};

const std::array kFiles{ShownFile{makedev(0xfe, 0), 5, "/srv/a.wmap"},
                        ShownFile{makedev(0xfe, 0), 6, "/srv/b.wmap"}};
constexpr const char* kFirst = "1000-3000 r--s 0 fe:00 5 /srv/a.wmap\n";
constexpr const char* kOlder = "5000-6000 r--s 0 fe:00 4 /srv/a.wmap (deleted)\n";
constexpr const char* kStranger = "7000-8000 r--s 0 fe:00 9 /srv/c.wmap\n";

ProcessScan scan(const FakeProc& proc) {
  auto found = find_processes(kFiles, proc.path());
  REQUIRE_MESSAGE(found, found.error().message());
  return std::move(*found);
}

tests::CallSeam::Judge failing(const std::string& entry, int error) {
  return [=](const tests::SeenCall& call) {
    return tests::Verdict{.error = call.entry == entry ? error : 0};
  };
}

TEST_SUITE("io/process_maps") {
  TEST_CASE("who has a file is told in the order of pids, who has none is not") {
    const FakeProc proc;
    for (const char* const pid : {"20", "3", "100"})
      proc.add(pid, kFirst, "Rss: 8 kB\n");
    proc.add("4", kStranger, "Rss: 4 kB\n");
    proc.add("self", kFirst, "Rss: 8 kB\n");
    proc.add("5x", kFirst, "Rss: 8 kB\n");
    proc.add("99999999999", kFirst, "Rss: 8 kB\n");
    const ProcessScan found = scan(proc);
    CHECK(found.hidden == 0);
    REQUIRE(found.processes.size() == 3);
    CHECK(found.processes[0].pid == 3);
    CHECK(found.processes[1].pid == 20);
    CHECK(found.processes[2].pid == 100);
    const MappingProcess& process = found.processes[1];
    CHECK(process.name == "worker 20");
    CHECK(process.user == 1001);
    CHECK(process.page_tables == 8'192);
    REQUIRE(process.parts.size() == 1);
    CHECK(process.parts[0].file == 0);
    CHECK_FALSE(process.parts[0].is_older);
    CHECK(process.parts[0].bytes.mapped == 0x2000);
    CHECK(process.parts[0].bytes.rss == 8'192);
  }

  TEST_CASE("files, and versions that were replaced, are kept apart") {
    const FakeProc proc;
    proc.add("1", std::string(kFirst) + kStranger, "Rss: 4 kB\n");
    const std::string all =
        std::string(kOlder) + "Rss: 12 kB\n" + kStranger + "Rss: 400 kB\n" +
        "a000-b000 r--s 0 fe:00 6 /srv/b.wmap\nRss: 4 kB\n" + kFirst +
        "Rss: 8 kB\nc000-d000 r--s 0 fe:00 3 /srv/a.wmap (deleted)\nRss: 16 kB\n";
    proc.add("2", all, "");
    const ProcessScan found = scan(proc);
    REQUIRE(found.processes.size() == 2);
    CHECK(found.processes[0].parts.at(0).bytes.rss == 0);
    const auto& parts = found.processes[1].parts;
    REQUIRE(parts.size() == 3);
    CHECK(parts[0].file == 0);
    CHECK_FALSE(parts[0].is_older);
    CHECK(parts[0].bytes.rss == 8'192);
    CHECK(parts[1].file == 0);
    CHECK(parts[1].is_older);
    CHECK(parts[1].bytes.rss == (12 + 16) * 1024);
    CHECK(parts[2].file == 1);
    CHECK(parts[2].bytes.rss == 4'096);
  }

  TEST_CASE("the file itself is known by its number, whatever its path") {
    const FakeProc proc;
    proc.add("1", "1000-3000 r--s 0 fe:00 5 /elsewhere/link (deleted)\n", "Rss: 8 kB\n");
    proc.add("2", "1000-3000 r--s 0 fe:01 5 /srv/a.wmap\n", "Rss: 8 kB\n");
    proc.add("3", "1000-3000 r--s 0 fe:00 4 /srv/a.wmap\n", "Rss: 8 kB\n");
    proc.add("4", "1000-3000 r--s 0 fe:00 4 /other/srv/a.wmap (deleted)\n", "Rss: 8 kB\n");
    const ProcessScan found = scan(proc);
    REQUIRE(found.processes.size() == 1);
    CHECK(found.processes[0].pid == 1);
    CHECK_FALSE(found.processes[0].parts.at(0).is_older);
  }

  TEST_CASE("a process that ends while it is looked at is left out") {
    const FakeProc proc;
    proc.add("1");
    proc.add("2", kFirst, "Rss: 8 kB\n");
    std::filesystem::remove(proc.path() + "/2/smaps");
    proc.add("3", kFirst, "Rss: 8 kB\n");
    write_file(proc.path() + "/3/smaps", "");
    proc.add("4", kFirst, "Rss: 8 kB\n");
    std::filesystem::remove(proc.path() + "/4/status");
    std::filesystem::remove(proc.path() + "/4/comm");
    const ProcessScan found = scan(proc);
    CHECK(found.hidden == 0);
    REQUIRE(found.processes.size() == 1);
    CHECK(found.processes[0].pid == 4);
    CHECK(found.processes[0].name.empty());
    CHECK_FALSE(found.processes[0].user);
    CHECK_FALSE(found.processes[0].page_tables);
  }

  TEST_CASE("one that ends while it is read, too") {
    const FakeProc proc;
    proc.add("1", kFirst, "Rss: 8 kB\n");
    const tests::CallSeam seam([](const tests::SeenCall& call) {
      return tests::Verdict{.error = call.name == "pread" ? ESRCH : 0};
    });
    const ProcessScan found = scan(proc);
    CHECK(found.hidden == 0);
    CHECK(found.processes.empty());
  }

  TEST_CASE("one that may not be looked into is counted") {
    const FakeProc proc;
    proc.add("1", kFirst, "Rss: 8 kB\n");
    proc.add("2", kFirst, "Rss: 8 kB\n");
    for (const int error : {EACCES, EPERM}) {
      const tests::CallSeam seam(failing("maps", error));
      const ProcessScan found = scan(proc);
      CHECK(found.hidden == 2);
      CHECK(found.processes.empty());
    }
    const tests::CallSeam seam(failing("maps", ESRCH));
    CHECK(scan(proc).hidden == 0);
  }

  TEST_CASE("text that no kernel would write is skipped") {
    const FakeProc proc;
    const std::string process = proc.add("1");
    write_file(process + "/maps", "\xff\xfe\nxyz\n" + std::string(300'000, 'a') + "\n" + kFirst);
    write_file(process + "/smaps", std::string(kFirst) + "Rss: 4 kB\nRss\n\n:\nRss: 4 kB");
    write_file(process + "/comm", "");
    write_file(process + "/status", "Uid:\nUid:\tx\nUid:\t1\nUid:\t1\ty\t2\nVmPTE:\nVmPTE: 1 GB\n");
    const ProcessScan found = scan(proc);
    REQUIRE(found.processes.size() == 1);
    CHECK(found.processes[0].parts.at(0).bytes.rss == 8'192);
    CHECK_FALSE(found.processes[0].user);
    CHECK_FALSE(found.processes[0].page_tables);
  }

  TEST_CASE("long lists are read in pieces of any size") {
    const FakeProc proc;
    std::string text;
    for (int i = 0; i < 300; ++i)
      text += std::string(kStranger) + "Rss: 4 kB\n" + kFirst + "Rss: 8 kB\n";
    proc.add("1", text, "");
    const tests::CallSeam seam([](const tests::SeenCall&) { return tests::Verdict{.at_most = 7}; });
    CHECK(scan(proc).processes.at(0).parts.at(0).bytes.rss == 300 * 8'192);
  }

  TEST_CASE("without /proc there is an error") {
    const TempDir dir;
    const auto found = find_processes(kFiles, dir / "none");
    REQUIRE_FALSE(found);
    CHECK(found.error().code() == ErrorCode::kNotFound);
    CHECK(found.error().message().starts_with(dir / "none"));
  }

  TEST_CASE("a file is shown as the kernel's list of this process has it") {
    const TempDir dir;
    const std::string path = dir / "line\nbreak";
    write_file(path, "bytes");
    const auto mapped = MappedFile::map(*File::open(path));
    REQUIRE(mapped);
    const auto shown = shown_file(*mapped);
    REQUIRE(shown);
    CHECK(shown->path == dir / "line\\012break");
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK(shown->inode == status.st_ino);
    std::filesystem::remove(path);
    CHECK(shown_file(*mapped)->path == dir / "line\\012break");
  }

  TEST_CASE("memory is no file that a process could have") {
    alignas(64) static const std::array<std::byte, 64> bytes{};
    const auto memory = MappedFile::from_memory(bytes, nullptr, "memory");
    REQUIRE(memory);
    CHECK_FALSE(shown_file(*memory));
  }
}

}  // namespace
}  // namespace weightmap::io
