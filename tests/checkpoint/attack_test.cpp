// SPDX-License-Identifier: Apache-2.0
// Pickles that run a program when Python loads them: here they are read, and nothing runs. That
// they would run is shown by loading them with Python.
#include <filesystem>
#include <string>

#include <doctest/doctest.h>

#include "opened.h"
#include "support/process.h"

namespace weightmap::tests {
namespace {

using pickle::call;
using pickle::dict;
using pickle::get;
using pickle::global;
using pickle::list;
using pickle::put;
using pickle::stack_global;
using pickle::text;
using pickle::tuple;
using pickle::whole;

struct Attack {
  std::string name;
  std::string value;
  bool is_named;  // by our lists; if not, the file opens, and still nothing runs
};

// Each creates the file `marker` when Python loads it.
std::vector<Attack> attacks(const std::string& marker) {
  const std::string touch = text("touch " + marker);
  const std::string system = global("posix", "system");
  const std::string path = call(global("pathlib", "Path"), {text(marker)});
  const std::string touch_method = call(global("__builtin__", "getattr"), {path, text("touch")});
  return {
      {"GLOBAL and REDUCE", call(system, {touch}), true},
      {"by the module's other name", call(global("os", "system"), {touch}), true},
      {"STACK_GLOBAL", call(stack_global("os", "system"), {touch}), true},
      {"STACK_GLOBAL of texts from the memo",
       text("posix") + put(0) + "0" + text("system") + put(1) + "0" +
           call(get(0) + get(1) + "\x93", {touch}),
       true},
      {"a function from the memo", system + put(0) + "0" + call(get(0), {touch}), true},
      {"INST", "(" + touch + "iposix\nsystem\n", true},
      {"OBJ", "(" + system + touch + "o", true},
      {"an attribute of a module that imports it",
       pickle::proto(4) + call(stack_global("pathlib", "os.system"), {touch}), true},
      {"eval", call(global("__builtin__", "eval"), {text("open('" + marker + "', 'w').close()")}),
       true},
      {"a call inside of a call", call(global("__builtin__", "str"), {call(system, {touch})}),
       true},
      {"inside of a state dict",
       dict({text("a"), text("b"), text("c"), list({call(system, {touch})})}), true},
      {"dropped before the end", call(system, {touch}) + "0N", true},
      {"as the state of an object",
       global("argparse", "Namespace") + ")\x81" + dict({text("x"), call(system, {touch})}) + "b",
       true},
      {"by methods of honest classes", touch_method + ")R", false},
      {"by methods of honest classes, dropped", touch_method + ")R0N", false},
  };
}

TEST_SUITE("checkpoint/attack") {
  TEST_CASE("nothing in a pickle is executed") {
    const TempDir directory;
    const std::string marker = directory / "marker";
    for (const Attack& attack : attacks(marker)) {
      CAPTURE(attack.name);
      const auto found = open_value(attack.value);
      CHECK_FALSE(std::filesystem::exists(marker));
      REQUIRE(found.has_value() != attack.is_named);
      if (found) continue;
      CAPTURE(found.error().message());
      CHECK(found.error().code() == ErrorCode::kUnsafe);
      CHECK(contains(found.error().message(), "as only a file does that attacks whoever loads it"));
      CHECK(contains(found.error().message(), " at byte "));
    }
  }

  TEST_CASE("each of these pickles runs a program when Python loads it") {
    if (!is_installed("python3")) {
      MESSAGE("SKIPPED: python3 is not installed, the attacks are not shown to be live");
      return;
    }
    const TempDir directory;
    const std::string marker = directory / "marker";
    for (const Attack& attack : attacks(marker)) {
      CAPTURE(attack.name);
      write_file(directory / "attack.pkl", whole(attack.value));
      output_of("python3 -c \"import pickle; pickle.load(open('" + (directory / "attack.pkl") +
                "', 'rb'))\"");
      CHECK(std::filesystem::remove(marker));
    }
  }
}

}  // namespace
}  // namespace weightmap::tests
