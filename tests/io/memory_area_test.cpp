// SPDX-License-Identifier: Apache-2.0
#include "io/memory_area.h"

#include <array>
#include <limits>
#include <string>
#include <string_view>
#include <sys/sysmacros.h>

#include <doctest/doctest.h>

namespace weightmap::io {
namespace {

constexpr std::uint64_t kLargest = std::numeric_limits<std::uint64_t>::max();

// As Linux 6.18 has it, of a process that has changed three pages of a private mapping of a file
// of 12 KiB and reads another one of 4 MiB, which a second process maps, too.
constexpr std::string_view kSmaps =
    R"(5581c4a6d000-5581c4a6f000 r--p 00000000 fe:00 260386                     /usr/bin/reader
Size:                  8 kB
KernelPageSize:        4 kB
MMUPageSize:           4 kB
Rss:                   8 kB
Pss:                   8 kB
Private_Clean:         8 kB
VmFlags: rd mr mw me sd 
7f1c2a000000-7f1c2a400000 r--s 00000000 fe:00 131074                     /srv/models/big model.wmap
Size:               4096 kB
KernelPageSize:        4 kB
MMUPageSize:           4 kB
Rss:                2100 kB
Pss:                1050 kB
Pss_Dirty:             0 kB
Shared_Clean:       2096 kB
Shared_Dirty:          4 kB
Private_Clean:         0 kB
Private_Dirty:         0 kB
Referenced:         2100 kB
Anonymous:             0 kB
KSM:                   0 kB
LazyFree:              0 kB
AnonHugePages:         0 kB
ShmemPmdMapped:        0 kB
FilePmdMapped:      2048 kB
Shared_Hugetlb:        0 kB
Private_Hugetlb:       0 kB
Swap:                  0 kB
SwapPss:               0 kB
Locked:             1050 kB
THPeligible:           1
VmFlags: rd sh mr mw me ms lo sd hg 
7f1c2a600000-7f1c2a603000 rw-p 00000000 fe:00 131080                     /srv/models/small.wmap
Size:                 12 kB
Rss:                  12 kB
Pss:                  12 kB
Pss_Dirty:            12 kB
Shared_Clean:          0 kB
Shared_Dirty:          0 kB
Private_Clean:         0 kB
Private_Dirty:        12 kB
Referenced:           12 kB
Anonymous:            12 kB
AnonHugePages:      2048 kB
Swap:                 24 kB
SwapPss:              24 kB
FilePmdMapped:         0 kB
Locked:                0 kB
VmFlags: rd wr mr mw me ac sd 
7ffd1e5f2000-7ffd1e613000 rw-p 00000000 00:00 0                          [stack]
Rss:                  16 kB
Pss:                  16 kB
)";

void take_all(AreaSums& sums, std::string_view text) {
  while (!text.empty()) {
    const auto end = text.find('\n');
    sums.take(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
}

// The sums over mappings of this inode.
AreaBytes sums_of(std::string_view text, std::uint64_t inode) {
  AreaBytes found;
  AreaSums sums([&](const MemoryArea& area) { return area.inode == inode ? &found : nullptr; });
  take_all(sums, text);
  return found;
}

TEST_SUITE("io/memory_area") {
  TEST_CASE("a mapping's line is taken apart") {
    const auto area = parse_area(
        "7f1c2a000000-7f1c2a400000 r--s 00000000 103:1f 131074                   /a b/c (deleted)");
    REQUIRE(area);
    CHECK(area->begin == 0x7f1c2a000000);
    CHECK(area->end == 0x7f1c2a400000);
    CHECK(area->device == makedev(0x103, 0x1f));
    CHECK(area->inode == 131074);
    CHECK(area->path == "/a b/c (deleted)");
  }

  TEST_CASE("a mapping of nothing has no inode, and a name or none") {
    const auto stack = parse_area("7ffd1e5f2000-7ffd1e613000 rw-p 00000000 00:00 0     [stack]");
    REQUIRE(stack);
    CHECK(stack->inode == 0);
    CHECK(stack->path == "[stack]");
    const auto none = parse_area("7ffd1e5f2000-7ffd1e613000 rw-p 00000000 00:00 0 ");
    REQUIRE(none);
    CHECK(none->path.empty());
  }

  TEST_CASE("the sums of a process that reads") {
    const AreaBytes found = sums_of(kSmaps, 131074);
    CHECK(found.mapped == 4'194'304);
    CHECK(found.rss == 2'150'400);
    CHECK(found.pss == 1'075'200);
    CHECK(found.shared_clean == 2'146'304);
    CHECK(found.shared_dirty == 4'096);
    CHECK(found.private_clean == 0);
    CHECK(found.private_dirty == 0);
    CHECK(found.anonymous == 0);
    CHECK(found.swap == 0);
    CHECK(found.locked == 1'075'200);
    CHECK(found.huge == 2'097'152);
  }

  TEST_CASE("the sums of a process that has changed pages of its own, some of them swapped out") {
    const AreaBytes found = sums_of(kSmaps, 131080);
    CHECK(found.mapped == 12'288);
    CHECK(found.private_dirty == 12'288);
    CHECK(found.anonymous == 12'288);
    CHECK(found.swap == 24'576);
    CHECK(found.anonymous_huge == 2'097'152);
    CHECK(found.huge == 0);
  }

  TEST_CASE("mappings of one file add up, and what follows the last is not theirs") {
    const AreaBytes found = sums_of(std::string(kSmaps) + std::string(kSmaps), 131074);
    CHECK(found.mapped == 8'388'608);
    CHECK(found.rss == 4'300'800);
    CHECK(found.huge == 4'194'304);
    CHECK(sums_of(kSmaps, 0).rss == 16'384);
  }

  TEST_CASE("a kernel that does not tell of huge pages leaves them open") {
    const AreaBytes found = sums_of("10-20 r--s 0 fe:00 7 /a\nRss: 4 kB\n", 7);
    CHECK(found.rss == 4'096);
    CHECK_FALSE(found.huge);
  }

  TEST_CASE("both kinds of huge pages of files count") {
    CHECK(sums_of("10-20 r--s 0 0:1 7 /a\nShmemPmdMapped: 4096 kB\nFilePmdMapped: 2048 kB\n", 7)
              .huge == 6'291'456);
  }

  TEST_CASE("lines that are no mappings are not taken for some") {
    for (const std::string_view line : {"",
                                        "-",
                                        "10",
                                        "10-",
                                        "10-20",
                                        "10-20 ",
                                        "10-20 r--s",
                                        "10-20 r--s 0",
                                        "10-20 r--s 0 ",
                                        "10-20 r--s 0 fe",
                                        "10-20 r--s 0 fe:",
                                        "10-20 r--s 0 fe:0",
                                        "10-20 r--s 0 fe:0 ",
                                        "10-20 r--s 0 fe:0 x",
                                        "10-20 r--s 0 :0 5 /a",
                                        "20-10 r--s 0 fe:0 5 /a",
                                        "10+20 r--s 0 fe:0 5 /a",
                                        "xy-20 r--s 0 fe:0 5 /a",
                                        " 10-20 r--s 0 fe:0 5 /a",
                                        "100000000000000000-200000000000000000 r--s 0 fe:0 5 /a",
                                        "10-20 r--s 0 fe:0 99999999999999999999 /a",
                                        "FilePmdMapped:      2048 kB",
                                        "Dead-Pages:  4 kB",
                                        "VmFlags: rd sh mr"}) {
      CAPTURE(line);
      CHECK_FALSE(parse_area(line));
    }
  }

  TEST_CASE("a field is known by its whole name, and only in kB") {
    CHECK(bytes_of_field("Rss:                2100 kB", "Rss") == 2'150'400);
    CHECK(bytes_of_field("VmPTE:\t      56 kB", "VmPTE") == 57'344);
    for (const std::string_view line :
         {"", "Rss", "Rss:", "Rss: kB", "Rss: 4", "Rss: 4 MB", "Rss: 4 kB more", "Rss: -4 kB",
          "Rss: 0x4 kB", "Rss_Dirty: 4 kB", "Pss: 4 kB", " Rss: 4 kB",
          "Rss: 99999999999999999999 kB", "Rss: 18014398509481984 kB"}) {
      CAPTURE(line);
      CHECK_FALSE(bytes_of_field(line, "Rss"));
    }
  }

  TEST_CASE("fields before any mapping, unknown ones and noise change nothing") {
    const std::string text = std::string(
        "Rss: 4 kB\n10-20 r--s 0 fe:00 7 /a\nNew: 4 kB\n\n\0\xff\n"
        "Rss:     4 kB\nRss: \xff kB\nno colon\n",
        78);
    CHECK(sums_of(text, 7).rss == 4'096);
  }

  TEST_CASE("sums that no memory could hold stop at the largest number") {
    const std::string line = "Pss: 18014398509481983 kB\n";  // 2^64 - 1024 bytes
    CHECK(sums_of("10-20 r--s 0 fe:00 7 /a\n" + line, 7).pss == kLargest - 1023);
    CHECK(sums_of("10-20 r--s 0 fe:00 7 /a\n" + line + line, 7).pss == kLargest);
  }
}

}  // namespace
}  // namespace weightmap::io
