// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace weightmap::checkpoint {

// Which attributes of a TorchScript class are parameters and which are buffers.
struct ScriptClass {
  std::vector<std::string> parameters;
  std::vector<std::string> buffers;
};

// The classes of a file of TorchScript's code, by name. Of the code only three kinds of lines are
// looked at, at the places where TorchScript's printer (python_print.cpp, 1.2 to 2.13) has them:
// `class NAME(`, and below it `  __parameters__ = ["a", "b", ]` and `  __buffers__ = [...]`.
// What is written in another way is left out.
std::map<std::string, ScriptClass, std::less<>> script_classes(std::string_view code);

}  // namespace weightmap::checkpoint
