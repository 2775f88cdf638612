// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string_view>

#include "output.h"

namespace CLI {
class App;
}

namespace weightmap::tool {

// Does the work of a command whose options were parsed; returns the exit code.
using Run = std::function<int()>;

struct Command {
  const char* name = nullptr;
  const char* summary = nullptr;
  Run (*add)(CLI::App& app) = nullptr;  // declares options and operands; what it returns owns them
  int failed = kFailed;                 // the exit code of what the command does not tell itself
};

Run add_adopt(CLI::App& app);
Run add_convert(CLI::App& app);
Run add_diff(CLI::App& app);
Run add_export(CLI::App& app);
Run add_inspect(CLI::App& app);
Run add_publish(CLI::App& app);
Run add_stat(CLI::App& app);
Run add_verify(CLI::App& app);
Run add_warm(CLI::App& app);

}  // namespace weightmap::tool
