// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace weightmap {

// A text that has names from a file in it, as it may stand in a message or on a terminal: as \xNN
// what is broken UTF-8, a control character or not to be seen, or turns the direction of what
// stands around it.
std::string escaped(std::string_view text);

}  // namespace weightmap
