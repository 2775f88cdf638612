// SPDX-License-Identifier: Apache-2.0
#include "io/file_system.h"

#include <cerrno>
#include <string>
#include <sys/vfs.h>

#include <doctest/doctest.h>

#include "io/system.h"
#include "support/file_bytes.h"
#include "support/process.h"
#include "support/statfs_answer.h"
#include "support/temp_dir.h"

namespace weightmap::io {
namespace {

using tests::StatfsAnswer;
using tests::TempDir;

FileSystem file_system_in(const TempDir& dir) {
  tests::write_file(dir / "file", "x");
  return file_system_of(*File::open(dir / "file"));
}

}  // namespace

TEST_SUITE("io/file_system") {
  TEST_CASE("the name is that which stat(1) has for it") {
    const TempDir dir;
    const FileSystem found = file_system_in(dir);
    std::string expected = tests::output_of("stat --file-system --format=%T " + dir.path());
    expected.pop_back();
    if (expected == "ext2/ext3") expected = "ext4";
    CHECK(found.name == expected);
    CHECK(found.objection.empty());
  }

  TEST_CASE("network and program file systems are better read") {
    const TempDir dir;
    using Known = std::pair<long, std::string>;
    for (const Known& known :
         {Known{0x6969L, "NFS"}, Known{0xff534d42L, "SMB"}, Known{0xfe534d42L, "SMB"},
          Known{0x65735546L, "FUSE"}, Known{0x01021997L, "9p"}, Known{0x00c36400L, "Ceph"}}) {
      CAPTURE(known.second);
      const StatfsAnswer answer(known.first);
      const FileSystem found = file_system_in(dir);
      CHECK(found.name == known.second);
      CHECK_FALSE(found.objection.empty());
    }
  }

  TEST_CASE("one that nobody knows, or that does not tell, is mapped") {
    const TempDir dir;
    {
      const StatfsAnswer answer(0x1234);
      CHECK(file_system_in(dir).name == "type 0x1234");
      CHECK(file_system_in(dir).objection.empty());
    }
    const StatfsAnswer answer(0, ENOSYS);
    CHECK(file_system_in(dir).name == "unknown");
    CHECK(file_system_in(dir).objection.empty());
  }
}

}  // namespace weightmap::io
