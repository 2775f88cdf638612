// SPDX-License-Identifier: Apache-2.0
// Archives of TorchScript, written byte by byte. Those that PyTorch wrote are
// convert/torch_script_test.cpp's.
#include "checkpoint/torch_script.h"

#include <string>

#include <doctest/doctest.h>

#include "checkpoint/script_code.h"
#include "opened.h"
#include "show.h"
#include "support/checkpoint_check.h"

namespace weightmap::tests {
namespace {

using pickle::dict;
using pickle::global;
using pickle::list;
using pickle::tensor;
using pickle::text;
using pickle::tuple;
using pickle::whole;

using Entries = std::vector<ZipEntry>;

constexpr const char* kCode =
    "class M(Module):\n"
    "  __parameters__ = [\"w\", ]\n"
    "  __buffers__ = [\"b\", ]\n"
    "  w : Tensor\n";

std::string object_of(const std::string& module, const std::string& state) {
  return global(module, "M") + ")\x81" + state + "b";
}

std::string typed(const std::string& function, const std::vector<std::string>& arguments) {
  return pickle::call(global("torch.jit._pickle", function), arguments);
}

Entries archive_of(const std::string& object, const std::string& constants = ")") {
  Entries entries = checkpoint_entries(whole(object), {{"0", noise(16)}, {"1", noise(16, 2)}});
  entries.push_back({.name = "archive/constants.pkl", .data = whole(constants)});
  entries.push_back({.name = "archive/constants/0", .data = noise(16, 3)});
  entries.push_back({.name = "archive/code/__torch__.py", .data = kCode});
  return entries;
}

Entries good_archive() {
  return archive_of(object_of("__torch__", dict({text("w"), tensor(), text("b"),
                                                 tensor({.key = "1"}), text("x"), tensor()})));
}

struct Row {
  const char* name;
  ErrorCode code;
  const char* text;
  Entries entries;
};

Entries without(Entries entries, const std::string& name) {
  std::erase_if(entries, [&](const ZipEntry& entry) { return entry.name == name; });
  return entries;
}

Entries with_code(std::size_t size) {
  Entries entries = good_archive();
  entry_named(entries, "archive/code/__torch__.py").data.resize(size, ' ');
  return entries;
}

TEST_SUITE("checkpoint/torch_script") {
  TEST_CASE("the code tells which tensors are parameters and which are buffers") {
    const auto found = open_bytes(write_zip(good_archive()));
    REQUIRE_MESSAGE(found, message_of(found));
    CHECK(found->kind == "TorchScript archive");
    CHECK(broken_promise(*found) == "");
    REQUIRE(found->tensors.size() == 3);
    CHECK(found->tensors[0].is_parameter);
    CHECK_FALSE(found->tensors[0].is_buffer);
    CHECK(found->tensors[1].is_buffer);
    CHECK_FALSE(found->tensors[1].is_parameter);
    CHECK_FALSE(found->tensors[2].is_parameter);
    CHECK_FALSE(found->tensors[2].is_buffer);
  }

  TEST_CASE("the lists of a class are those below its own line, whatever else the code says") {
    const auto classes = checkpoint::script_classes(
        "  __parameters__ = [\"nobody's\", ]\n" + std::string(kCode) +
        "  def f(self):\n    __parameters__ = [\"no\", ]\n"
        "class Empty(Module):\n  __parameters__ = []\n  __buffers__ = []\n"
        "class Broken\n  __buffers__ = [\"open\nclass Last(Module):\n  __buffers__ = [\"a\", "
        "\"b\"");
    REQUIRE(classes.size() == 3);
    CHECK(classes.at("M").parameters == std::vector<std::string>{"w"});
    CHECK(classes.at("M").buffers == std::vector<std::string>{"b"});
    CHECK(classes.at("Empty").buffers.empty());
    CHECK(classes.at("Last").buffers == std::vector<std::string>{"a", "b"});
  }

  TEST_CASE("typed containers become plain ones, one around the other, too") {
    const std::string numbers = typed("build_intlist", {list({pickle::integer(1)})});
    const std::string tagged = typed(
        "restore_type_tag", {typed("restore_type_tag", {dict({text("k"), numbers}), text("Dict")}),
                             text("Dict[str, List[int]]")});
    const auto found =
        open_bytes(write_zip(archive_of(object_of("__torch__", dict({text("a"), tagged})))));
    REQUIRE_MESSAGE(found, message_of(found));
    CHECK(show(found->values) == "__torch__.M() <- {'a': {'k': [1]}}");
  }

  TEST_CASE("a call of those functions that PyTorch does not make stays what it is") {
    for (const std::string& call :
         {typed("build_intlist", {}), typed("build_intlist", {"N", "N", "N"}),
          typed("build_intlist", {list({})}) + "}b", typed("other", {list({})})}) {
      const auto found =
          open_bytes(write_zip(archive_of(object_of("__torch__", dict({text("a"), call})))));
      REQUIRE_MESSAGE(found, message_of(found));
      CHECK(contains(show(found->values), "torch.jit._pickle."));
    }
  }

  TEST_CASE("constants become items of the outermost module") {
    const auto found =
        open_bytes(write_zip(archive_of(object_of("__torch__", dict({text("w"), tensor()})),
                                        tuple({tensor(), pickle::integer(7)}))));
    REQUIRE_MESSAGE(found, message_of(found));
    CHECK(broken_promise(*found) == "");
    CHECK(found->storages.size() == 2);  // data/0 and constants/0
    CHECK(show(found->values) ==
          "__torch__.M() |= {'CONSTANTS': {'c0': tensor0, 'c1': 7}} <- {'w': tensor1}");
  }

  TEST_CASE("an archive that lies is refused with the path and the reason") {
    const Row rows[] = {
        {"no object", ErrorCode::kWrongKind, "there is no record `archive/data.pkl`",
         without(good_archive(), "archive/data.pkl")},
        {"no version", ErrorCode::kCorrupt, "there is no record `version`",
         without(good_archive(), "archive/version")},
        {"no code", ErrorCode::kCorrupt, "there is no record `archive/code/__torch__.py`",
         without(good_archive(), "archive/code/__torch__.py")},
        {"more code than any module has", ErrorCode::kUnsupported,
         "record `archive/code/__torch__.py` has 67108865 bytes, at most 67108864",
         with_code((std::size_t{64} << 20U) + 1)},
        {"constants that are no tuple", ErrorCode::kCorrupt, "constants.pkl: is no tuple",
         archive_of(object_of("__torch__", "}"), "]")},
        {"constants beside no module", ErrorCode::kUnsupported,
         "data.pkl: constants beside what is no module", archive_of("]", tuple({tensor()}))},
        {"constants beside a module with items", ErrorCode::kUnsupported,
         "data.pkl: constants beside what is no module",
         archive_of(object_of("__torch__", "}") + "K\1K\2s", tuple({tensor()}))},
        {"constants without a storage", ErrorCode::kCorrupt,
         "constants.pkl: `0`: there is no record `archive/constants/1`",
         archive_of(object_of("__torch__", "}"), tuple({tensor({.key = "1"})}))},
        {"an attack in the constants", ErrorCode::kUnsafe, "constants.pkl: opcode 0x63",
         archive_of(object_of("__torch__", "}"), global("os", "system"))},
        {"an attack in the object", ErrorCode::kUnsafe, "data.pkl: opcode 0x63",
         archive_of(global("os", "system"))},
    };
    for (const Row& row : rows) {
      CAPTURE(row.name);
      const auto found = open_bytes(write_zip(row.entries));
      REQUIRE_FALSE(found);
      CAPTURE(found.error().message());
      CHECK(found.error().code() == row.code);
      CHECK(contains(found.error().message(), row.text));
      CHECK(contains(found.error().message(), "/model.pt: "));
    }
  }

  TEST_CASE("classes that are made in C++ need no code, and a class may be missing from its file") {
    const std::string state = dict({text("w"), tensor()});
    for (const char* module : {"__torch__.torch.classes.rnn", "other"}) {
      const auto found = open_bytes(write_zip(archive_of(object_of(module, state))));
      REQUIRE_MESSAGE(found, message_of(found));
      CHECK_FALSE(found->tensors[0].is_parameter);
    }
    Entries entries = archive_of(object_of("__torch__", state));
    entry_named(entries, "archive/code/__torch__.py").data = "class Other(Module):\n";
    CHECK(open_bytes(write_zip(entries)));
  }
}

}  // namespace
}  // namespace weightmap::tests
