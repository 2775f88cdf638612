// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weightmap/dtype.h"
#include "weightmap/result.h"

namespace weightmap::tool {

// What the field "format" of a spec says.
inline constexpr std::string_view kSpecFormat = "weightmap spec 1";

struct SpecKey {
  std::string name;
  std::optional<Dtype> dtype;
  std::optional<std::vector<std::int64_t>> shape;
};

// Errors: kCorrupt. Messages name no file. Memory: in proportion to the text.
Result<std::vector<SpecKey>> parse_spec(std::string_view text);

// Names, one a line; empty lines and what follows a `#` at the beginning of one count for nothing.
Result<std::vector<SpecKey>> parse_names(std::string_view text);

}  // namespace weightmap::tool
