// SPDX-License-Identifier: Apache-2.0
#include "weightmap/file_stat.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/path_text.h"
#include "base/text.h"
#include "io/directory.h"
#include "io/page_cache.h"
#include "io/process_maps.h"
#include "runtime/weight_file_state.h"

namespace weightmap {
namespace {

constexpr std::size_t kMostIndexes = 1'000;
constexpr std::string_view kExtension = ".wmap";

std::optional<CacheCounts> counts_of(const io::MappedFile& file) {
  const std::optional<io::CacheCounts> counts = io::count_cached(file);
  if (!counts) return std::nullopt;
  return CacheCounts{.dirty_bytes = counts->dirty,
                     .writeback_bytes = counts->writeback,
                     .evicted_bytes = counts->evicted,
                     .recently_evicted_bytes = counts->recently_evicted};
}

Result<std::optional<CacheMap>> cache_map(const io::MappedFile& file, std::size_t most_cells) {
  const auto found = io::look_along_cache(file, most_cells);
  if (!found) return found.error();
  if (!*found) return std::optional<CacheMap>();
  CacheMap map{.cell_bytes = (*found)->cell_bytes, .counts = counts_of(file)};
  for (const io::CachedBytes& cell : (*found)->cells)
    map.cells.push_back({cell.cached, cell.huge});
  return std::optional(std::move(map));
}

std::optional<GenerationState> generation_of(const std::string& path) {
  auto state = generation_state(path);
  if (state) return *std::move(state);
  return GenerationState{.problem = state.error()};
}

DataFileStat described(const DataFileInfo& file) {
  return {.name = std::string(file.name),
          .kind = std::string(file.kind),
          .size_bytes = file.size_bytes,
          .problem = file.problem};
}

// What must be known of the data files after they were let go of.
struct Traces {
  std::vector<std::optional<io::FileIdentity>> identities;  // nothing: not open
  std::vector<io::ShownFile> shown;
  std::vector<std::uint32_t> numbers;  // the data file of each that is shown
};

Result<void> look_at_data_files(const WeightFile& file,
                                std::size_t most_cells,
                                FileStat& stat,
                                Traces& traces) {
  for (const DataFileInfo& info : file.data_files()) {
    const auto number = static_cast<std::uint32_t>(stat.data_files.size());
    DataFileStat& data_file = stat.data_files.emplace_back(described(info));
    const io::MappedFile* const mapped = state_of(file).file(number);
    traces.identities.emplace_back();
    if (mapped == nullptr) continue;
    data_file.path = state_of(file).opened(number).path;
    auto cache = cache_map(*mapped, most_cells);
    if (!cache) return cache.error();
    data_file.cache = std::move(*cache);
    traces.identities.back() = mapped->file()->identity();
    if (auto shown = io::shown_file(*mapped)) {
      traces.shown.push_back(std::move(*shown));
      traces.numbers.push_back(number);
    }
  }
  return {};
}

// Which other weight files of a directory have a data file of a given one, by its name or by
// another that leads to it.
class Sharers {
 public:
  Sharers(FileStat& stat, const Traces& traces) : stat_(stat), traces_(traces) {}

  void find() {
    const Result<io::Directory> directory = io::Directory::containing(stat_.path);
    const auto names = directory ? directory->names() : directory.error();
    if (!names) {
      stat_.directory_problem = names.error().message();
      return;
    }
    std::size_t opened = 0;
    for (const std::string& name : *names) {
      if (!name.ends_with(kExtension) || name == name_in(stat_.path)) continue;
      opened++ < kMostIndexes ? look_into(name, directory->path()) : leave_out();
    }
  }

 private:
  void look_into(const std::string& name, const std::string& directory) {
    const auto other =
        WeightFile::open(directory == "." ? name : concat(directory, "/", name), look_only());
    if (!other) return leave_out();
    if (identity(*other, 0) == traces_.identities[0]) return;  // a link
    const std::vector<DataFileInfo> files = other->data_files();
    for (std::uint32_t i = 0; i < stat_.data_files.size(); ++i) {
      if (refers_to(*other, files, i)) stat_.data_files[i].shared_by.push_back(name);
    }
  }

  void leave_out() { ++stat_.indexes_unread; }

  bool refers_to(const WeightFile& other,
                 const std::vector<DataFileInfo>& files,
                 std::uint32_t data_file) const {
    const std::string_view name =
        data_file == 0 ? name_in(stat_.path) : stat_.data_files[data_file].name;
    for (std::uint32_t number = 1; number < files.size(); ++number) {
      if (files[number].name == name) return true;
      const auto found = identity(other, number);
      if (found && found == traces_.identities[data_file]) return true;
    }
    return false;
  }

  static std::optional<io::FileIdentity> identity(const WeightFile& file, std::uint32_t number) {
    const io::MappedFile* const mapped = state_of(file).file(number);
    if (mapped == nullptr) return std::nullopt;
    return mapped->file()->identity();
  }

  FileStat& stat_;
  const Traces& traces_;
};

MappedBytes mapped_bytes(const io::AreaBytes& area) {
  return {.mapped_bytes = area.mapped,
          .rss_bytes = area.rss,
          .pss_bytes = area.pss,
          .shared_clean_bytes = area.shared_clean,
          .shared_dirty_bytes = area.shared_dirty,
          .private_clean_bytes = area.private_clean,
          .private_dirty_bytes = area.private_dirty,
          .anonymous_bytes = area.anonymous,
          .swap_bytes = area.swap,
          .locked_bytes = area.locked,
          .huge_bytes = area.huge};
}

ProcessStat process_stat(const io::MappingProcess& process, const Traces& traces) {
  ProcessStat stat{.pid = process.pid,
                   .name = process.name,
                   .user = process.user,
                   .page_table_bytes = process.page_tables};
  for (const io::FilePart& part : process.parts)
    stat.mappings.push_back({traces.numbers[part.file], part.is_older, mapped_bytes(part.bytes)});
  return stat;
}

void find_processes(FileStat& stat, const Traces& traces) {
  if (traces.shown.empty()) return;
  const Result<io::ProcessScan> scan = io::find_processes(traces.shown);
  if (!scan) return;
  stat.hidden_processes = scan->hidden;
  stat.processes.emplace();
  for (const io::MappingProcess& process : scan->processes)
    stat.processes->push_back(process_stat(process, traces));
}

}  // namespace

CacheCell CacheMap::total() const {
  CacheCell sum{.huge_bytes = 0};
  for (const CacheCell& cell : cells) {
    sum.cached_bytes += cell.cached_bytes;
    if (!cell.huge_bytes) sum.huge_bytes.reset();
    if (sum.huge_bytes) *sum.huge_bytes += *cell.huge_bytes;
  }
  return sum;
}

MappedBytes& MappedBytes::operator+=(const MappedBytes& other) {
  mapped_bytes += other.mapped_bytes;
  rss_bytes += other.rss_bytes;
  pss_bytes += other.pss_bytes;
  shared_clean_bytes += other.shared_clean_bytes;
  shared_dirty_bytes += other.shared_dirty_bytes;
  private_clean_bytes += other.private_clean_bytes;
  private_dirty_bytes += other.private_dirty_bytes;
  anonymous_bytes += other.anonymous_bytes;
  swap_bytes += other.swap_bytes;
  locked_bytes += other.locked_bytes;
  if (other.huge_bytes) huge_bytes = huge_bytes.value_or(0) + *other.huge_bytes;
  return *this;
}

bool ProcessStat::has(bool is_older) const {
  return std::ranges::find(mappings, is_older, &ProcessMapping::is_older) != mappings.end();
}

MappedBytes ProcessStat::total(bool is_older) const {
  MappedBytes sum;
  for (const ProcessMapping& mapping : mappings) {
    if (mapping.is_older == is_older) sum += mapping.bytes;
  }
  return sum;
}

// Our own mappings would be counted, so they are gone before processes are looked at.
Result<FileStat> file_stat(const std::string& path, const FileStatOptions& options) {
  FileStat stat{.path = path};
  Traces traces;
  {
    const auto file = WeightFile::open(path, look_only());
    if (!file) return file.error();
    stat.size_bytes = file->size_bytes();
    stat.format_version = file->format_version();
    stat.digest = file->digest();
    stat.generation = generation_of(path);
    const std::size_t cells = std::clamp<std::size_t>(options.most_cells, 1, io::kMostCells);
    const Result<void> looked = look_at_data_files(*file, cells, stat, traces);
    if (!looked) return looked.error();
  }
  Sharers(stat, traces).find();
  find_processes(stat, traces);
  return stat;
}

}  // namespace weightmap
