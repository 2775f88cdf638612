// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <unistd.h>

#include <fmt/format.h>

#include "stat_view.h"

namespace weightmap::tool {
namespace {

constexpr std::size_t kCellsInAPipe = 64;
constexpr std::size_t kFrame = 4;     // "  [" and "]"
constexpr std::size_t kCaption = 19;  // "  1023.9 MiB a cell"
constexpr std::size_t kNarrow = 40;   // columns that have no room for the caption

// How much of a cell is there, and how.
enum Fill : std::uint8_t { kNone, kLess, kMore, kSmall, kHuge, kFills };
constexpr std::array<std::string_view, kFills> kLetters{".", "-", "=", "+", "#"};
constexpr std::array<std::string_view, kFills> kBlocks{"\u00b7", "\u2591", "\u2592", "\u2593",
                                                       "\u2588"};

Fill fill_of(const CacheCell& cell, std::uint64_t size_bytes) {
  if (cell.cached_bytes == 0) return kNone;
  if (cell.cached_bytes < size_bytes) return 2 * cell.cached_bytes < size_bytes ? kLess : kMore;
  return 2 * cell.huge_bytes.value_or(0) < size_bytes ? kSmall : kHuge;
}

class Picture {
 public:
  explicit Picture(const Screen& screen) : screen_(screen) {}

  std::string cells(const CacheMap& cache, std::uint64_t size_bytes) const {
    std::string text;
    for (std::size_t i = 0; i < cache.cells.size(); ++i) {
      const std::uint64_t rest = size_bytes - i * cache.cell_bytes;
      text += sign(fill_of(cache.cells[i], std::min(cache.cell_bytes, rest)));
    }
    return text;
  }

  std::string legend() const {
    return fmt::format("{} in pages of 2 MiB  {} in small ones  {}{} partly  {} not there",
                       plain_sign(kHuge), plain_sign(kSmall), plain_sign(kMore), plain_sign(kLess),
                       plain_sign(kNone));
  }

 private:
  std::string_view plain_sign(Fill fill) const {
    return screen_.blocks ? kBlocks[fill] : kLetters[fill];
  }

  std::string sign(Fill fill) const {
    if (fill == kHuge) return coloured(screen_, Colour::kGreen, plain_sign(fill));
    if (fill == kNone) return coloured(screen_, Colour::kFaint, plain_sign(fill));
    return std::string(plain_sign(fill));
  }

  const Screen& screen_;
};

enum Column : std::uint8_t {
  kPid,
  kName,
  kUser,
  kRss,
  kPss,
  kPrivate,
  kCopied,
  kMappedHuge,
  kTables,
  kNotes,
  kColumns
};
using Row = std::array<std::string, kColumns>;

std::string bytes_or_unknown(const std::optional<std::uint64_t>& bytes) {
  return bytes ? human_bytes(*bytes) : "?";
}

std::uint64_t private_bytes(const MappedBytes& bytes) {
  return bytes.private_clean_bytes + bytes.private_dirty_bytes;
}

std::string notes(const MappedBytes& bytes) {
  std::vector<std::string> words;
  if (bytes.locked_bytes > 0) words.push_back(human_bytes(bytes.locked_bytes) + " locked");
  if (bytes.swap_bytes > 0) words.push_back(human_bytes(bytes.swap_bytes) + " swapped out");
  return fmt::format("{}", fmt::join(words, ", "));
}

Row row_of(const ProcessStat& process, const MappedBytes& bytes) {
  return {std::to_string(process.pid),
          printable(process.name),
          process.user ? std::to_string(*process.user) : "?",
          human_bytes(bytes.rss_bytes),
          human_bytes(bytes.pss_bytes),
          human_bytes(private_bytes(bytes)),
          human_bytes(bytes.anonymous_bytes),
          bytes_or_unknown(bytes.huge_bytes),
          bytes_or_unknown(process.page_table_bytes),
          notes(bytes)};
}

// Of what adds up.
Row sum_row(const MappedBytes& sum) {
  Row row{"sum"};
  row[kPss] = human_bytes(sum.pss_bytes);
  row[kPrivate] = human_bytes(private_bytes(sum));
  row[kCopied] = human_bytes(sum.anonymous_bytes);
  return row;
}

// Under a heading; empty where no process has any.
std::vector<Row> rows_of(const std::vector<ProcessStat>& processes, bool is_older) {
  std::vector<Row> rows;
  MappedBytes sum;
  for (const ProcessStat& process : processes) {
    if (!process.has(is_older)) continue;
    const MappedBytes bytes = process.total(is_older);
    rows.push_back(row_of(process, bytes));
    sum += bytes;
  }
  if (rows.empty()) return rows;
  if (rows.size() > 1) rows.push_back(sum_row(sum));
  rows.insert(rows.begin(),
              Row{"pid", "name", "user", "rss", "pss", "private", "copied", "huge", "tables", ""});
  return rows;
}

std::vector<std::string> table(const std::vector<Row>& rows) {
  std::array<std::size_t, kColumns> widths{};
  for (const Row& row : rows) {
    for (std::size_t column = 0; column < kColumns; ++column)
      widths[column] = std::max(widths[column], width(row[column]));
  }
  std::vector<std::string> lines;
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t column = 0; column < kNotes; ++column) {
      const std::string padding(widths[column] - width(row[column]), ' ');
      line += "  " + (column == kName ? row[column] + padding : padding + row[column]);
    }
    line += "  " + row[kNotes];
    line.erase(line.find_last_not_of(' ') + 1);
    lines.push_back(std::move(line));
  }
  return lines;
}

std::string counts_text(const CacheCounts& counts) {
  std::string text;
  const auto add = [&](std::uint64_t bytes, std::string_view what) {
    if (bytes > 0) text += fmt::format(", {} {}", human_bytes(bytes), what);
  };
  add(counts.dirty_bytes + counts.writeback_bytes, "not on the disk yet");
  add(counts.recently_evicted_bytes, "lately thrown out");
  return text;
}

std::string cache_text(const DataFileStat& file) {
  if (!file.cache) return "what is in the page cache is told to its owner and to root";
  const CacheCell total = file.cache->total();
  std::string text =
      fmt::format("{:.1f} % in the page cache", percent(total.cached_bytes, file.size_bytes));
  if (total.huge_bytes) {
    text +=
        fmt::format(", {:.1f} % in pages of 2 MiB", percent(*total.huge_bytes, file.size_bytes));
  }
  return file.cache->counts ? text + counts_text(*file.cache->counts) : text;
}

std::string generation_text(const GenerationState& state, const Digest& digest) {
  if (state.problem) return "generation unknown: " + printable(state.problem->message());
  std::string text = fmt::format("generation {}", state.generation);
  if (state.is_publishing) return text + ", and a publish is under way or was cut off";
  return state.digest == digest ? text : text + ", but this file is not the one published as that";
}

class StatText {
 public:
  StatText(const FileStat& stat, const Screen& screen)
      : stat_(stat), screen_(screen), picture_(screen) {}

  std::vector<std::string> lines() {
    add(fmt::format("{}: weight file {}, {}", printable(stat_.path), stat_.format_version,
                    human_bytes(stat_.size_bytes)));
    add("digest " + stat_.digest.hex());
    if (stat_.generation) add(generation_text(*stat_.generation, stat_.digest));
    add_data_files();
    add_directory();
    add_processes();
    return std::move(lines_);
  }

 private:
  void add(std::string_view text) { lines_.push_back(cut_end(text, screen_.columns)); }

  void add_heading(std::string_view text) {
    lines_.push_back(coloured(screen_, Colour::kBold, cut_end(text, screen_.columns)));
  }

  void add_data_files() {
    add("");
    for (const DataFileStat& file : stat_.data_files)
      add_data_file(file);
    const bool has_picture = std::ranges::any_of(
        stat_.data_files, [](const DataFileStat& file) { return file.cache.has_value(); });
    if (has_picture) add("  " + picture_.legend());
  }

  void add_data_file(const DataFileStat& file) {
    const std::string name = printable(file.name.empty() ? stat_.path : file.name);
    if (!file.problem.empty()) return add(printable(file.problem));
    add(fmt::format("{}: {}, {}", name, human_bytes(file.size_bytes), cache_text(file)));
    if (file.cache) add_picture(file);
    if (file.shared_by.empty()) return;
    add(printable(fmt::format("  shared by {}", fmt::join(file.shared_by, ", "))));
  }

  void add_picture(const DataFileStat& file) {
    std::string line = fmt::format("  [{}]", picture_.cells(*file.cache, file.size_bytes));
    if (screen_.columns >= kNarrow)
      line += fmt::format("  {} a cell", human_bytes(file.cache->cell_bytes));
    lines_.push_back(std::move(line));
  }

  void add_directory() {
    if (stat_.indexes_unread > 0) {
      add(fmt::format("not read, and perhaps sharing: {} beside it",
                      counted(stat_.indexes_unread, "weight file")));
    }
    if (!stat_.directory_problem.empty())
      add("who shares is not known: " + printable(stat_.directory_problem));
  }

  void add_processes() {
    add("");
    if (!stat_.processes) return add("processes are not known: there is no /proc");
    const std::vector<Row> current = rows_of(*stat_.processes, false);
    const std::vector<Row> older = rows_of(*stat_.processes, true);
    add(current.empty() ? "mapped by no process that can be seen" : "mapped by");
    add_table(current);
    if (!older.empty()) add("older versions, which were replaced, are still mapped by");
    add_table(older);
    add_hidden();
  }

  void add_table(const std::vector<Row>& rows) {
    const std::vector<std::string> lines = table(rows);
    for (std::size_t i = 0; i < lines.size(); ++i)
      i == 0 ? add_heading(lines[i]) : add(lines[i]);
  }

  void add_hidden() {
    if (stat_.hidden_processes == 0) return;
    const std::uint64_t hidden = stat_.hidden_processes;
    const std::string text =
        fmt::format("{} process{} could not be looked into", hidden, hidden == 1 ? "" : "es");
    add(::geteuid() == 0 ? text : text + ": run as root");
  }

  const FileStat& stat_;
  const Screen& screen_;
  const Picture picture_;
  std::vector<std::string> lines_;
};

}  // namespace

std::size_t picture_cells(const Screen& screen) {
  if (screen.columns == Screen::kUnlimited) return kCellsInAPipe;
  const std::size_t beside = screen.columns < kNarrow ? kFrame : kFrame + kCaption;
  return std::max(screen.columns, beside + 1) - beside;
}

std::vector<std::string> stat_lines(const FileStat& stat, const Screen& screen) {
  return StatText(stat, screen).lines();
}

}  // namespace weightmap::tool
