// SPDX-License-Identifier: Apache-2.0
#include "io/file_system.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <sys/vfs.h>

#include "io/system.h"

namespace weightmap::io {
namespace {

struct Known {
  std::uint32_t magic = 0;
  std::string_view name;
  std::string_view objection;
};

constexpr std::string_view kNetwork =
    "pages come over the network one fault at a time, and a lost connection is a signal";
constexpr std::string_view kProgram =
    "pages come from another program one fault at a time, and its failure is a signal";

// The numbers of statfs(2) and linux/magic.h.
constexpr std::array kKnown{
    Known{0xef53, "ext4", {}},
    Known{0x58465342, "xfs", {}},
    Known{0x9123683e, "btrfs", {}},
    Known{0xf2f52010, "f2fs", {}},
    Known{0x2fc12fc1, "zfs", {}},
    Known{0x01021994, "tmpfs", {}},
    Known{0x858458f6, "ramfs", {}},
    Known{0x794c7630, "overlayfs", {}},
    Known{0x73717368, "squashfs", {}},
    Known{0xe0f5e1e2, "erofs", {}},
    Known{0x0bd00bd0, "lustre", {}},
    Known{0x6969, "NFS", kNetwork},
    Known{0x517b, "SMB", kNetwork},
    Known{0xfe534d42, "SMB", kNetwork},
    Known{0xff534d42, "SMB", kNetwork},
    Known{0x00c36400, "Ceph", kNetwork},
    Known{0x5346414f, "AFS", kNetwork},
    Known{0x6b414653, "AFS", kNetwork},
    Known{0x73757245, "Coda", kNetwork},
    Known{0x01021997, "9p", kNetwork},
    Known{0x786f4256, "vboxsf", kProgram},
    Known{0x65735546, "FUSE", kProgram},
};

std::string type_text(std::uint32_t magic) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "type 0x%x", magic);
  return text.data();
}

}  // namespace

FileSystem file_system_of(const File& file) {
  return file_system_of(file.descriptor());
}

FileSystem file_system_of(int descriptor) {
  struct statfs status {};
  if (system_calls().fstatfs(descriptor, &status) != 0) return {"unknown", {}};
  const auto magic = static_cast<std::uint32_t>(status.f_type);
  const auto* const known = std::ranges::find(kKnown, magic, &Known::magic);
  if (known == kKnown.end()) return {type_text(magic), {}};
  return {std::string(known->name), known->objection};
}

}  // namespace weightmap::io
