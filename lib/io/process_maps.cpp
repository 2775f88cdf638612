// SPDX-License-Identifier: Apache-2.0
#include "io/process_maps.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fcntl.h>
#include <map>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "io/descriptor.h"
#include "io/directory.h"
#include "io/read_lines.h"
#include "io/system.h"

namespace weightmap::io {
namespace {

constexpr std::string_view kDeleted = " (deleted)";

std::optional<std::uint32_t> number_of(std::string_view text) {
  std::uint32_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool is_number = parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size();
  return is_number ? std::optional(number) : std::nullopt;
}

// "Uid:\t1000\t1001\t1000\t1000": the second.
std::optional<std::uint32_t> effective_user(std::string_view line) {
  if (!line.starts_with("Uid:\t")) return std::nullopt;
  line.remove_prefix(std::min(line.find('\t', 5), line.size()));
  if (line.empty()) return std::nullopt;
  return number_of(line.substr(1, line.find('\t', 1) - 1));
}

using PartKey = std::pair<std::size_t, bool>;  // file, is_older

class ProcessLook {
 public:
  ProcessLook(std::span<const ShownFile> files, const std::string& path)
      : files_(files), directory_(uninterrupted([&] {
          return system_calls().open_at(AT_FDCWD, path.c_str(), O_PATH | O_CLOEXEC | O_DIRECTORY,
                                        0);
        })) {}

  // Whether it has one of the files. Nothing: the caller may not know.
  std::optional<bool> has_any() const {
    bool has = false;
    const int failure = read_lines(directory_.get(), "maps", [&](std::string_view line) {
      const auto area = parse_area(line);
      has = has || (area && part_of(*area));
    });
    if (failure == EACCES || failure == EPERM) return std::nullopt;
    return has;
  }

  // Nothing: it has none, or is gone.
  std::optional<MappingProcess> look() const {
    std::map<PartKey, AreaBytes> parts;
    AreaSums sums([&](const MemoryArea& area) {
      const auto part = part_of(area);
      return part ? &parts[*part] : nullptr;
    });
    const int failure =
        read_lines(directory_.get(), "smaps", [&](std::string_view line) { sums.take(line); });
    if (failure != 0 || parts.empty()) return std::nullopt;
    std::optional<MappingProcess> process(std::in_place);
    for (const auto& [key, bytes] : parts)
      process->parts.push_back({key.first, key.second, bytes});
    describe(*process);
    return process;
  }

 private:
  // A path tells an older version, since its device and inode are its own. That of a file in
  // another root may look the same.
  std::optional<PartKey> part_of(const MemoryArea& area) const {
    for (std::size_t i = 0; i < files_.size(); ++i) {
      if (area.device == files_[i].device && area.inode == files_[i].inode)
        return PartKey(i, false);
    }
    if (!area.path.ends_with(kDeleted)) return std::nullopt;
    const std::string_view path = area.path.substr(0, area.path.size() - kDeleted.size());
    const auto found = std::ranges::find(files_, path, &ShownFile::path);
    if (found == files_.end()) return std::nullopt;
    return PartKey(static_cast<std::size_t>(found - files_.begin()), true);
  }

  void describe(MappingProcess& process) const {
    read_lines(directory_.get(), "comm", [&](std::string_view line) {
      if (process.name.empty()) process.name = line;
    });
    read_lines(directory_.get(), "status", [&](std::string_view line) {
      if (const auto user = effective_user(line)) process.user = user;
      if (const auto bytes = bytes_of_field(line, "VmPTE")) process.page_tables = bytes;
    });
  }

  std::span<const ShownFile> files_;
  Descriptor directory_;
};

void look_at(std::uint32_t pid, const ProcessLook& process, ProcessScan& scan) {
  const std::optional<bool> has = process.has_any();
  if (!has) ++scan.hidden;
  if (!has.value_or(false)) return;
  std::optional<MappingProcess> found = process.look();
  if (!found) return;
  found->pid = pid;
  scan.processes.push_back(std::move(*found));
}

}  // namespace

std::optional<ShownFile> shown_file(const MappedFile& file) {
  std::optional<ShownFile> shown;
  const auto place = reinterpret_cast<std::uintptr_t>(file.bytes().data());
  if (!file.is_mapping() || file.bytes().empty()) return shown;
  read_lines(AT_FDCWD, "/proc/self/maps", [&](std::string_view line) {
    const auto area = parse_area(line);
    if (!area || place < area->begin || place >= area->end) return;
    std::string_view path = area->path;
    if (path.ends_with(kDeleted))
      path.remove_suffix(kDeleted.size());  // replaced since it was opened
    shown.emplace(ShownFile{area->device, area->inode, std::string(path)});
  });
  return shown;
}

Result<ProcessScan> find_processes(std::span<const ShownFile> files, const std::string& proc) {
  const Result<Directory> directory = Directory::open(proc);
  if (!directory) return directory.error();
  const Result<std::vector<std::string>> names = directory->names();
  if (!names) return names.error();
  ProcessScan scan;
  for (const std::string& name : *names) {
    const auto pid = number_of(name);
    if (pid) look_at(*pid, ProcessLook(files, concat(proc, "/", name)), scan);
  }
  std::ranges::sort(scan.processes, {}, &MappingProcess::pid);
  return scan;
}

}  // namespace weightmap::io
