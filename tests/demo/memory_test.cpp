// SPDX-License-Identifier: Apache-2.0
#include "demo/memory.h"

#include <sstream>
#include <string>

#include <doctest/doctest.h>

namespace weightmap::demo {
namespace {

constexpr const char* kSmaps =
    "55d0c2a00000-55d0c2a01000 r--p 00000000 fe:00 17   /usr/bin/reader\n"
    "Size:                  4 kB\n"
    "Rss:                   4 kB\n"
    "Private_Clean:         4 kB\n"
    "7f0000000000-7f0000003000 r--s 00000000 fe:00 1311   /data/my digits.wmap\n"
    "Size:                 12 kB\n"
    "KernelPageSize:        4 kB\n"
    "Rss:                   8 kB\n"
    "Pss:                   3 kB\n"
    "Pss_Dirty:             1 kB\n"
    "Shared_Clean:          6 kB\n"
    "Private_Clean:         1 kB\n"
    "Private_Dirty:         1 kB\n"
    "VmFlags: rd sh mr mw me ms hg\n"
    "7f0000003000-7f0000004000 r--s 00003000 fe:00 1311   /data/my digits.wmap\n"
    "Size:                  4 kB\n"
    "Rss:                   4 kB\n"
    "Pss:                   4 kB\n"
    "7f0000010000-7f0000011000 rw-p 00000000 00:00 0\n"
    "Rss:                   4 kB\n"
    "7f0000020000-7f0000021000 r--s 00000000 fe:00 12   /data/my digits.wmap.old\n"
    "Rss:                   4 kB\n";

MappedMemory memory_of(const std::string& path) {
  std::istringstream smaps(kSmaps);
  return mapped_memory(smaps, path);
}

TEST_SUITE("demo/memory") {
  TEST_CASE("all mappings of a file are added up, and no other's") {
    const MappedMemory memory = memory_of("/data/my digits.wmap");
    CHECK(memory.rss_bytes == 12 * 1024);
    CHECK(memory.pss_bytes == 7 * 1024);
    CHECK(memory.private_bytes == 2 * 1024);
  }

  TEST_CASE("a file that is not mapped takes nothing") {
    CHECK(memory_of("/data/digits.wmap").rss_bytes == 0);
    CHECK(memory_of("/data").rss_bytes == 0);
  }

  TEST_CASE("a process that is gone takes nothing") {
    constexpr pid_t kNobody = 1 << 30;
    CHECK(mapped_memory(kNobody, "/data/digits.wmap").rss_bytes == 0);
  }
}

}  // namespace
}  // namespace weightmap::demo
