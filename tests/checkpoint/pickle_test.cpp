// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/pickle.h"

#include <algorithm>
#include <string>

#include <doctest/doctest.h>

#include "opened.h"
#include "show.h"

namespace weightmap::tests {
namespace {

using namespace std::string_literals;
using checkpoint::decode_pickle;
using checkpoint::Pickle;
using checkpoint::PickleKind;
using checkpoint::PickleLimits;
using pickle::global;
using pickle::little;
using pickle::proto;
using pickle::repeat;
using pickle::short_text;
using pickle::stack_global;
using pickle::text;
using pickle::whole;

std::string shown(const std::string& bytes) {
  const auto decoded = decode_pickle(bytes_of(bytes));
  REQUIRE_MESSAGE(decoded, message_of(decoded));
  CHECK(decoded->values.size() <= PickleLimits::kValuesPerByte * bytes.size());
  CHECK(decoded->steps <= bytes.size());
  return show(*decoded);
}

struct Row {
  std::string name;
  std::string value;  // between PROTO and STOP
  std::string shown;
};

TEST_SUITE("checkpoint/pickle") {
  TEST_CASE("every opcode that binary pickles have makes what Python's makes") {
    const Row rows[] = {
        {"NONE", "N", "None"},
        {"NEWTRUE", "\x88", "True"},
        {"NEWFALSE", "\x89", "False"},
        {"INT 00", "I00\n", "False"},
        {"INT 01", "I01\n", "True"},
        {"INT", "I-12\n", "-12"},
        {"BININT1", "K\xff", "255"},
        {"BININT2", "M\xfe\xff", "65534"},
        {"BININT", "J\xff\xff\xff\xff", "-1"},
        {"BININT of the least", "J\0\0\0\x80"s, "-2147483648"},
        {"LONG1 of no bytes", "\x8a\0"s, "0"},
        {"LONG1 of one byte", "\x8a\x01\xff", "-1"},
        {"LONG1 of 2^31", "\x8a\x05\0\0\0\x80\0"s, "2147483648"},
        {"LONG1 of 2^63 - 1", "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", "9223372036854775807"},
        {"LONG1 of -2^63", "\x8a\x08\0\0\0\0\0\0\0\x80"s, "-9223372036854775808"},
        {"LONG1 of 2^63", "\x8a\x09\0\0\0\0\0\0\0\x80\0"s, "int<000000000000008000>"},
        {"LONG1 longer than need be", "\x8a\x0a\x05\0\0\0\0\0\0\0\0\0"s, "5"},
        {"LONG1 of -1 longer than need be", "\x8a\x0a" + repeat("\xff", 10), "-1"},
        {"LONG1 with filling above 2^63", "\x8a\x0b\0\0\0\0\0\0\0\x80\0\0\0"s,
         "int<000000000000008000>"},
        {"LONG4", "\x8b\x02\0\0\0\x34\x12"s, "4660"},
        {"BINFLOAT", "G\x3f\xf8\0\0\0\0\0\0"s, "1.5"},
        {"BINUNICODE", text("ab"), "'ab'"},
        {"SHORT_BINUNICODE", short_text("ab"), "'ab'"},
        {"BINUNICODE8", "\x8d" + little(2, 8) + "ab", "'ab'"},
        {"text in UTF-8", text("\xc3\xa9\xf0\x9f\x99\x82"), "'\xc3\xa9\xf0\x9f\x99\x82'"},
        {"SHORT_BINSTRING", "U\x02"s + "ab", "'ab'"},
        {"BINSTRING", "T" + little(2, 4) + "ab", "'ab'"},
        {"SHORT_BINSTRING that is not UTF-8", "U\x01\xff", "b<ff>"},
        {"SHORT_BINBYTES", "C\x02\0\xff"s, "b<00ff>"},
        {"BINBYTES", "B" + little(1, 4) + "\xff", "b<ff>"},
        {"BINBYTES8", "\x8e" + little(1, 8) + "\xff", "b<ff>"},
        {"BYTEARRAY8", "\x96" + little(1, 8) + "\xff", "bytearray<ff>"},
        {"EMPTY_TUPLE", ")", "()"},
        {"TUPLE1", "N\x85", "(None)"},
        {"TUPLE2", "NK\x01\x86", "(None, 1)"},
        {"TUPLE3", "K\x01K\x02K\x03\x87", "(1, 2, 3)"},
        {"TUPLE", "(K\x01K\x02K\x03K\x04t", "(1, 2, 3, 4)"},
        {"TUPLE of nothing", "(t", "()"},
        {"EMPTY_LIST", "]", "[]"},
        {"APPEND",
         "]K\x01"
         "a",
         "[1]"},
        {"APPENDS",
         "](K\x01K\x02"
         "e",
         "[1, 2]"},
        {"APPENDS twice and APPEND",
         "](K\x01"
         "e(K\x02K\x03"
         "eK\x04"
         "a",
         "[1, 2, 3, 4]"},
        {"APPENDS of nothing", "](e", "[]"},
        {"EMPTY_DICT", "}", "{}"},
        {"SETITEM", "}K\x01K\x02s", "{1: 2}"},
        {"SETITEMS", "}(K\x01K\x02K\x03K\x04u", "{1: 2, 3: 4}"},
        {"SETITEMS twice", "}(K\x01K\x02u(K\x03K\x04u", "{1: 2, 3: 4}"},
        {"lists that grow in turns",
         "]q\0]q\x01\x86h\0K\x01"
         "a0h\x01K\x02"
         "a0h\0K\x03"
         "a0"s,
         "([1, 3], [2])"},
        {"EMPTY_SET and ADDITEMS", "\x8f(K\x01K\x02\x90", "set{1, 2}"},
        {"FROZENSET", "(K\x01\x91", "frozenset{1}"},
        {"GLOBAL", global("a.b", "C"), "a.b.C"},
        {"STACK_GLOBAL", stack_global("a.b", "C.D"), "a.b.C.D"},
        {"REDUCE", global("m", "f") + "K\x01\x85R", "m.f(1)"},
        {"NEWOBJ", global("m", "C") + ")\x81", "m.C()"},
        {"NEWOBJ_EX", global("m", "C") + "K\x01\x85}" + text("k") + "K\x02s\x92",
         "m.C(1)(**{'k': 2})"},
        {"INST", "(K\x01im\nC\n", "m.C(1)"},
        {"OBJ", "(" + global("m", "C") + "K\x01o", "m.C(1)"},
        {"BUILD", global("m", "C") + ")\x81}K\x01K\x02sb", "m.C() <- {1: 2}"},
        {"APPEND to an object",
         global("m", "C") + ")\x81K\x01"
                            "a(K\x02"
                            "e",
         "m.C() += [1, 2]"},
        {"SETITEM on an object", global("m", "C") + ")\x81K\x01K\x02s", "m.C() |= {1: 2}"},
        {"ADDITEMS to an object", global("m", "C") + ")\x81(K\x01\x90", "m.C() += [1]"},
        {"a call of what a call returned", global("m", "f") + ")R)R", "m.f()()"},
        {"BINPERSID", "K\x01\x85Q", "persistent(1)"},
        {"POP",
         "K\x01K\x02"
         "0",
         "1"},
        {"POP of a mark", "K\x01(0", "1"},
        {"POP_MARK",
         "K\x01(K\x02K\x03"
         "1",
         "1"},
        {"DUP",
         "K\x01"
         "2\x86",
         "(1, 1)"},
        {"BINPUT and BINGET",
         "K\x07q\x05"
         "0h\x05",
         "7"},
        {"LONG_BINPUT and LONG_BINGET",
         "K\x07r\x05\0\0\0"
         "0j\x05\0\0\0"s,
         "7"},
        {"a memo number set twice",
         "K\x07q\0"
         "0K\x08q\0"
         "0h\0"s,
         "8"},
        {"MEMOIZE counts what was set",
         "K\x07\x94K\x08\x94\x86"
         "0h\0h\x01\x86"s,
         "(7, 8)"},
        {"MEMOIZE after BINPUT",
         "K\x07q\x03\x30K\x08\x94"
         "0h\x01",
         "8"},
        {"FRAME", "\x95" + little(2, 8) + "K\x07", "7"},
    };
    for (const Row& row : rows) {
      CAPTURE(row.name);
      CHECK(shown(whole(row.value)) == row.shown);
    }
  }

  TEST_CASE("protocols 2 to 5 and pickles without a protocol are read") {
    CHECK(shown("K\x07.") == "7");
    for (std::uint8_t version = 0; version <= 5; ++version) {
      CHECK(shown(proto(version) + "K\x07.") == "7");
    }
  }

  TEST_CASE("what follows STOP does not matter, nor do values that are left on the stack") {
    CHECK(shown(whole("K\x07") + "\xff\xff rubbish") == "7");
    CHECK(shown(whole("(K\x06K\x07")) == "7");
  }

  TEST_CASE("what is shared is one value") {
    const std::string bytes = whole("]q\0h\0\x86"s);
    const auto decoded = decode_pickle(bytes_of(bytes));
    REQUIRE(decoded);
    const auto items = decoded->items_of(decoded->values[decoded->root]);
    CHECK(items[0] == items[1]);
  }

  TEST_CASE("a list that contains itself is decoded") {
    const std::string bytes = whole("]q\0h\0a"s);
    const auto decoded = decode_pickle(bytes_of(bytes));
    REQUIRE(decoded);
    CHECK(decoded->items_of(decoded->values[decoded->root])[0] == decoded->root);
  }

  TEST_CASE("the check is asked about every class, also about those that nothing refers to") {
    std::vector<std::string> asked;
    const auto note = [&](const checkpoint::GlobalName& name) {
      asked.push_back(checkpoint::global_text(name));
      return Result<void>();
    };
    const std::string bytes =
        whole(global("a", "B") + "0" + stack_global("c", "D.E") + "0(if\ng\n");
    REQUIRE(decode_pickle(bytes_of(bytes), note));
    CHECK(asked == std::vector<std::string>{"a.B", "c.D.E", "f.g"});
  }

  TEST_CASE("what the check refuses is refused with opcode and byte") {
    const auto refuse = [](const checkpoint::GlobalName&) {
      return Result<void>(Error(ErrorCode::kUnsafe, "names `a.B`"));
    };
    const std::string bytes = whole("N0" + global("a", "B"));
    const auto decoded = decode_pickle(bytes_of(bytes), refuse);
    REQUIRE_FALSE(decoded);
    CHECK(decoded.error().code() == ErrorCode::kUnsafe);
    CHECK(decoded.error().message() == "opcode 0x63 (GLOBAL) at byte 4: names `a.B`");
  }

  TEST_CASE("a pickle costs at most as many values and steps as it has bytes") {
    const std::string busiest[] = {
        repeat("N", 1000) + ".",         repeat("]", 1000) + ".",
        repeat("(ia\nb\n", 1000) + ".",  repeat("(ca\nb\no", 1000) + ".",
        "(" + repeat("(t", 1000) + "t.", "]" + repeat("2", 1000) + ".",
        repeat("K\x01\x85", 1000) + ".", "K\x01\x85" + repeat("2Q", 1000) + ".",
    };
    for (const std::string& bytes : busiest) {
      CAPTURE(bytes.substr(0, 10));
      const auto decoded = decode_pickle(bytes_of(bytes));
      REQUIRE_MESSAGE(decoded, message_of(decoded));
      CHECK(decoded->values.size() <= bytes.size());
      CHECK(decoded->items.size() <= bytes.size());
      CHECK(decoded->steps <= bytes.size());
    }
  }

  TEST_CASE("every protocol says the same as Python") {
    const std::string data = WEIGHTMAP_TEST_DATA "/pickles/";
    const std::string expected = read_file(data + "shown.txt");
    for (int protocol = 0; protocol <= 5; ++protocol) {
      CAPTURE(protocol);
      const std::string bytes = read_file(data + "protocol" + std::to_string(protocol) + ".pkl");
      const auto found = open_bytes(checkpoint_file(bytes));
      REQUIRE_MESSAGE(found, message_of(found));
      const ValueGraph& graph = found->values;
      CHECK(show(graph) == expected);
      const auto top = graph.items(graph.root());
      const auto shared = std::ranges::find_if(
          top, [&](std::uint32_t node) { return graph.text(node) == "shared"; });
      REQUIRE(shared != top.end());
      const auto items = graph.items(*(shared + 1));
      CHECK(items[0] == items[1]);
    }
  }

  TEST_CASE("the text of protocol 0 is what Python reads in it") {
    struct Row {
      std::string pickle;
      std::string shown;
    };
    const Row rows[] = {
        {"S'a\\x41\\n\\'\\\\'\n.", "'aA\n'\\'"},
        {"S\"it's\"\n.", "'it's'"},
        {"S'\\377'\n.", "b<ff>"},
        {"Va\\\\u0041\n.", "'a\\\\u0041'"},
        {"Va\\u0041\\U0001f642\n.", "'aA\xF0\x9F\x99\x82'"},
        {"V\xE9\n.", "'\xC3\xA9'"},
        {"V\n.", "''"},
        {"I12\n.", "12"},
        {"L-12L\n.", "-12"},
        {"L12\n.", "12"},
        {"I9223372036854775808\n.", "int<000000000000008000>"},
        {"L-9223372036854775809L\n.", "int<ffffffffffffff7fff>"},
        {"L-36893488147419103232L\n.", "int<0000000000000000fe>"},
        {"Finf\n.", "inf"},
        {"F-1e-05\n.", "-1e-05"},
        {"(NNl.", "[None, None]"},
        {"(Va\nNd.", "{'a': None}"},
        {"(lp0\nNa.", "[None]"},
        {"(lp5\n0g5\n.", "[]"},
    };
    for (const Row& row : rows) {
      CAPTURE(row.pickle);
      CHECK(shown(row.pickle) == row.shown);
    }
  }

  TEST_CASE("what follows STOP is no part of the pickle") {
    const std::string bytes = whole("N") + "more";
    const auto decoded = decode_pickle(bytes_of(bytes));
    REQUIRE(decoded);
    CHECK(decoded->bytes.size() == bytes.size() - 4);
  }

  TEST_CASE("a pickle that fails tells whether more bytes might have helped") {
    struct Row {
      std::string bytes;
      bool is_cut_short;
    };
    const Row rows[] = {
        {"", true},
        {proto() + "N", true},
        {proto() + "X\5\0\0\0text"s, true},
        {proto() + "cmodule\nna", true},
        {proto(4) + "\x95\x10\0\0\0\0\0\0\0N"s, true},
        {proto() + "J\1\2", true},
        {proto() + "c" + std::string(70'000, 'x'), false},  // no name is that long
        {proto() + "T\xff\xff\xff\xff", false},             // of -1 bytes
        {proto() + "R.", false},
        {proto() + "\xff", false},
        {whole("N"), false},
    };
    for (const Row& row : rows) {
      CAPTURE(row.bytes.substr(0, 20));
      bool is_cut_short = !row.is_cut_short;
      CHECK(decode_pickle(bytes_of(row.bytes), {}, &is_cut_short).has_value() ==
            (row.bytes == whole("N")));
      CHECK(is_cut_short == row.is_cut_short);
    }
  }
}

}  // namespace
}  // namespace weightmap::tests
