// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "weightmap/result.h"

#include "io/mapped_file.h"
#include "io/memory_area.h"

// Which processes of the machine have a file mapped, and what of it they hold.
namespace weightmap::io {

// A file as /proc shows it where it is mapped. Device and inode may differ from those that stat(2)
// tells (btrfs, overlay), so they are those that /proc has for a mapping of this process.
struct ShownFile {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::string path;
};

// Nothing: there is no /proc, or the file is in memory instead of mapped.
std::optional<ShownFile> shown_file(const MappedFile& file);

// What a process has of one of the files: of the file itself, or of files that had its path before
// and were replaced or removed.
struct FilePart {
  std::size_t file = 0;
  bool is_older = false;
  AreaBytes bytes;
};

struct MappingProcess {
  std::uint32_t pid = 0;
  std::string name;                          // as /proc has it, cut to 15 bytes: any bytes
  std::optional<std::uint32_t> user;         // effective
  std::optional<std::uint64_t> page_tables;  // of the whole process, in bytes
  std::vector<FilePart> parts;               // ascending by file, its older versions after itself
};

struct ProcessScan {
  std::vector<MappingProcess> processes;  // ascending by pid
  std::uint64_t hidden = 0;               // that the caller may not look into
};

// Looks into every process that `proc` shows: this one, too. Processes that end meanwhile are left
// out. Cost: their lists of mappings; for those that have a file, a walk over their page tables.
// Errors: those of Directory.
Result<ProcessScan> find_processes(std::span<const ShownFile> files,
                                   const std::string& proc = "/proc");

}  // namespace weightmap::io
