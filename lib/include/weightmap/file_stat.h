// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "weightmap/digest.h"
#include "weightmap/generation.h"
#include "weightmap/result.h"

// Who holds what of a weight file: the page cache, the indexes beside it, the processes. A look at
// the machine from outside; `weightmap stat` prints it.
namespace weightmap {

struct CacheCell {
  std::uint64_t cached_bytes = 0;
  // Of those, what mappings are served with by pages of 2 MiB. Nothing: the system does not tell.
  std::optional<std::uint64_t> huge_bytes;
};

// What the kernel counts of a file's pages, whole ones. Evicted: had been there and had to go;
// recently: so lately that the machine has too little memory for what it does.
struct CacheCounts {
  std::uint64_t dirty_bytes = 0;
  std::uint64_t writeback_bytes = 0;
  std::uint64_t evicted_bytes = 0;
  std::uint64_t recently_evicted_bytes = 0;
};

// What the page cache has of one file, from front to back.
struct CacheMap {
  std::uint64_t cell_bytes = 0;  // of all cells but the last, which may be shorter
  std::vector<CacheCell> cells;
  CacheCell total() const;
  std::optional<CacheCounts> counts;  // nothing: kernels before 6.5
};

struct DataFileStat {
  std::string name;  // as the index has it; "" for the weight file itself
  std::string kind;  // as DataFileInfo::kind
  std::string path;
  std::uint64_t size_bytes = 0;
  std::string problem;  // one line: why it cannot be used, and was not looked at; empty when it can
  // Nothing: there is a problem; or the caller neither owns the file nor may write to it, and the
  // kernel tells nothing.
  std::optional<CacheMap> cache;
  // Other weight files in the directory that have it as a data file, ascending. Of the weight file
  // itself: those that are made on top of it.
  std::vector<std::string> shared_by;
};

// What a process has of mappings, as /proc/PID/smaps counts it.
struct MappedBytes {
  std::uint64_t mapped_bytes = 0;  // addresses, whether anything is there or not
  // In its page tables. Everybody's is counted in full, so a sum over processes means nothing.
  std::uint64_t rss_bytes = 0;
  // Of those, its share: each page divided by how often it is mapped. Adds up.
  std::uint64_t pss_bytes = 0;
  std::uint64_t shared_clean_bytes = 0;
  std::uint64_t shared_dirty_bytes = 0;
  // In no other process's page tables; that it is in the page cache, too, does not matter here.
  std::uint64_t private_clean_bytes = 0;
  std::uint64_t private_dirty_bytes = 0;
  std::uint64_t anonymous_bytes = 0;  // copies of its own, made by writing to a private mapping
  std::uint64_t swap_bytes = 0;       // copies of its own that were swapped out
  std::uint64_t locked_bytes = 0;     // of its share
  std::optional<std::uint64_t> huge_bytes;  // in its page tables by 2 MiB pages

  MappedBytes& operator+=(const MappedBytes& other);
};

struct ProcessMapping {
  std::uint32_t data_file = 0;  // in FileStat::data_files
  // Not of that file but of one that had its path before, and was replaced or removed: its memory
  // and its place on the disk stay taken until the process lets go of it.
  bool is_older = false;
  MappedBytes bytes;
};

struct ProcessStat {
  std::uint32_t pid = 0;
  std::string name;                               // at most 15 bytes of any kind
  std::optional<std::uint32_t> user;              // effective
  std::optional<std::uint64_t> page_table_bytes;  // of the whole process, whatever it has mapped
  std::vector<ProcessMapping> mappings;           // one a data file, and one for its older versions

  bool has(bool is_older) const;
  MappedBytes total(bool is_older) const;  // over data files
};

struct FileStat {
  std::string path;
  std::uint64_t size_bytes = 0;  // of the weight file itself
  std::string format_version;
  Digest digest;
  // What its control block says; what is wrong with that is told there, not refused. Nothing: it
  // has none.
  std::optional<GenerationState> generation;
  std::vector<DataFileStat> data_files;  // the first is the weight file itself
  // Weight files beside it that cannot be read, or are too many, and may have data files of it.
  std::uint64_t indexes_unread = 0;
  std::string directory_problem;  // one line: why nobody knows who else there may have them
  // Ascending by pid, with this one where it has the file mapped. Nothing: there is no /proc.
  std::optional<std::vector<ProcessStat>> processes;
  std::uint64_t hidden_processes = 0;  // that the caller may not look into
};

struct FileStatOptions {
  std::size_t most_cells = 64;  // of each CacheMap; 1 to 4096, other numbers are taken for these
};

// Opens the file and what it refers to, looks, and lets go. Data files that are missing or others
// are told, not refused. Pages that are not in the page cache stay out, but for the header, the
// index and what says which file a data file is. Cost: those of `cache_states`, at most a fault for
// each 2 MiB; opening up to 1,000 weight files of the directory; the lists of mappings of all
// processes, and a walk over the page tables of those that have the file. Processes in another pid
// namespace, or hidden by the way /proc is mounted, are not seen. Errors: those of
// WeightFile::open. Messages begin with the path. Safe from several threads.
Result<FileStat> file_stat(const std::string& path, const FileStatOptions& options = {});

}  // namespace weightmap
