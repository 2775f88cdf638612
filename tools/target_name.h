// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

// What a weight file is called when nobody says.
namespace weightmap::tool {

// `model.pt` and `model.safetensors.index.json` -> `model.wmap`, `checkpoint/` -> `checkpoint.wmap`
std::string converted_name(const std::string& source);

// The same, but in the directory of the source's files: `checkpoint/` -> `checkpoint/model.wmap`
std::string adopted_name(const std::string& source);

}  // namespace weightmap::tool
