// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "weightmap/file_stat.h"

#include "output.h"
#include "terminal.h"

namespace weightmap::tool {

// Cells of a picture of a file that fits beside its legend.
std::size_t picture_cells(const Screen& screen);

// For people: lines, cut to the screen.
std::vector<std::string> stat_lines(const FileStat& stat, const Screen& screen);

// With the time, for who keeps a record.
Json stat_json(const FileStat& stat);

}  // namespace weightmap::tool
