// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <ctime>
#include <iterator>

#include <fmt/chrono.h>

#include "stat_view.h"

namespace weightmap::tool {
namespace {

template <typename T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

std::string time_text() {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
}

// Null where nobody tells of any of the cells.
Json huge_cells_json(const CacheMap& cache) {
  if (!cache.total().huge_bytes) return {};
  Json cells = Json::array();
  for (const CacheCell& cell : cache.cells)
    cells.push_back(*cell.huge_bytes);
  return cells;
}

Json cached_cells_json(const CacheMap& cache) {
  Json cells = Json::array();
  for (const CacheCell& cell : cache.cells)
    cells.push_back(cell.cached_bytes);
  return cells;
}

Json cache_json(const std::optional<CacheMap>& cache) {
  if (!cache) return {};
  const CacheCell total = cache->total();
  Json json{{"cached_bytes", total.cached_bytes},    {"huge_bytes", or_null(total.huge_bytes)},
            {"cell_bytes", cache->cell_bytes},       {"cached_cells", cached_cells_json(*cache)},
            {"huge_cells", huge_cells_json(*cache)}, {"counts", nullptr}};
  if (cache->counts) {
    json["counts"] = {{"dirty_bytes", cache->counts->dirty_bytes},
                      {"writeback_bytes", cache->counts->writeback_bytes},
                      {"evicted_bytes", cache->counts->evicted_bytes},
                      {"recently_evicted_bytes", cache->counts->recently_evicted_bytes}};
  }
  return json;
}

Json generation_json(const std::optional<GenerationState>& state) {
  if (!state) return {};
  if (state->problem) return {{"problem", state->problem->message()}};
  return {{"number", state->generation},
          {"is_publishing", state->is_publishing},
          {"digest", state->generation == 0 ? Json() : Json(state->digest.hex())}};
}

Json data_file_json(const DataFileStat& file) {
  Json json{{"name", file.name},
            {"kind", file.kind},
            {"path", file.path.empty() ? Json() : Json(file.path)},
            {"size_bytes", file.size_bytes}};
  if (!file.problem.empty()) json["problem"] = file.problem;
  json["cache"] = cache_json(file.cache);
  json["shared_by"] = file.shared_by;
  return json;
}

Json mapping_json(const ProcessMapping& mapping) {
  const MappedBytes& bytes = mapping.bytes;
  return {{"data_file", mapping.data_file},
          {"is_older", mapping.is_older},
          {"mapped_bytes", bytes.mapped_bytes},
          {"rss_bytes", bytes.rss_bytes},
          {"pss_bytes", bytes.pss_bytes},
          {"shared_clean_bytes", bytes.shared_clean_bytes},
          {"shared_dirty_bytes", bytes.shared_dirty_bytes},
          {"private_clean_bytes", bytes.private_clean_bytes},
          {"private_dirty_bytes", bytes.private_dirty_bytes},
          {"anonymous_bytes", bytes.anonymous_bytes},
          {"swap_bytes", bytes.swap_bytes},
          {"locked_bytes", bytes.locked_bytes},
          {"huge_bytes", or_null(bytes.huge_bytes)}};
}

template <typename T, typename ElementJson>
Json list_json(const std::vector<T>& list, ElementJson element_json) {
  Json json = Json::array();
  std::ranges::transform(list, std::back_inserter(json), element_json);
  return json;
}

Json process_json(const ProcessStat& process) {
  return {{"pid", process.pid},
          {"name", process.name},
          {"user", or_null(process.user)},
          {"page_table_bytes", or_null(process.page_table_bytes)},
          {"mappings", list_json(process.mappings, mapping_json)}};
}

}  // namespace

Json stat_json(const FileStat& stat) {
  Json json{{"path", stat.path},
            {"time", time_text()},
            {"size_bytes", stat.size_bytes},
            {"format_version", stat.format_version},
            {"digest", stat.digest.hex()},
            {"generation", generation_json(stat.generation)},
            {"data_files", list_json(stat.data_files, data_file_json)},
            {"indexes_unread", stat.indexes_unread}};
  if (!stat.directory_problem.empty()) json["directory_problem"] = stat.directory_problem;
  json["processes"] = stat.processes ? list_json(*stat.processes, process_json) : Json();
  json["hidden_processes"] = stat.hidden_processes;
  return json;
}

}  // namespace weightmap::tool
