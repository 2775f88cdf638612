// SPDX-License-Identifier: Apache-2.0
// Pickles that lie about their lengths, break the machine's rules, or try to cost more than they
// weigh. None may crash, loop or allocate beyond its size.
#include <string>

#include <doctest/doctest.h>

#include "checkpoint/pickle.h"
#include "opened.h"

namespace weightmap::tests {
namespace {

using namespace std::string_literals;
using checkpoint::decode_pickle;
using checkpoint::PickleLimits;
using pickle::global;
using pickle::little;
using pickle::repeat;
using pickle::text;
using pickle::whole;

struct Row {
  std::string name;
  std::string bytes;
  ErrorCode code;
  std::string text;
};

const std::string kObject = global("m", "C") + ")\x81";

const Row kRows[] = {
    {"nothing", "", ErrorCode::kCorrupt, "ends at byte 0 without STOP"},
    {"no STOP", "N", ErrorCode::kCorrupt, "ends at byte 1 without STOP"},
    {"STOP of nothing", ".", ErrorCode::kCorrupt,
     "opcode 0x2e (STOP) at byte 0: the stack has too few values"},
    {"STOP above a mark", "N(.", ErrorCode::kCorrupt, "at byte 2: the stack has too few values"},
    {"no such opcode", "N\xff.", ErrorCode::kCorrupt, "opcode 0xff at byte 1: there is no such"},
    {"protocol 6", "\x80\x06N.", ErrorCode::kUnsupported,
     "opcode 0x80 (PROTO) at byte 0: protocol 6, known are those to 5"},
    {"protocol of a safetensors file", "\x80\x68", ErrorCode::kUnsupported, "protocol 104"},
    {"PROTO cut short", "\x80", ErrorCode::kCorrupt, "needs 1 bytes, 0 remain"},

    // Lengths that lie.
    {"BINUNICODE beyond the end", whole("X" + little(3, 4) + "a"), ErrorCode::kCorrupt,
     "opcode 0x58 (BINUNICODE) at byte 2: needs 3 bytes, 2 remain"},
    {"BINUNICODE of 4 GiB", whole("X\xff\xff\xff\xff"), ErrorCode::kCorrupt,
     "needs 4294967295 bytes, 1 remain"},
    {"BINUNICODE without its length", "X\x01", ErrorCode::kCorrupt, "needs 4 bytes, 1 remain"},
    {"BINUNICODE8 of 2^64 - 1", whole("\x8d" + little(~0ULL, 8)), ErrorCode::kCorrupt,
     "needs 18446744073709551615 bytes"},
    {"BINBYTES beyond the end", whole("B" + little(1000, 4)), ErrorCode::kCorrupt, "needs 1000"},
    {"BINBYTES8 of 2^63", whole("\x8e" + little(1ULL << 63U, 8)), ErrorCode::kCorrupt,
     "needs 9223372036854775808 bytes"},
    {"BYTEARRAY8 of 2^40", whole("\x96" + little(1ULL << 40U, 8)), ErrorCode::kCorrupt,
     "needs 1099511627776 bytes"},
    {"BINSTRING of a negative length", whole("T\xff\xff\xff\xff"), ErrorCode::kCorrupt,
     "has a length of -1"},
    {"LONG1 beyond the end", whole("\x8a\xff"), ErrorCode::kCorrupt, "needs 255 bytes, 1 remain"},
    {"LONG4 of 2 GiB", whole("\x8b\xff\xff\xff\x7f"), ErrorCode::kCorrupt, "needs 2147483647"},
    {"LONG4 of a negative length", whole("\x8b\0\0\0\x80"s), ErrorCode::kCorrupt,
     "has a length of -2147483648"},
    {"BINFLOAT cut short", "G\0\0"s, ErrorCode::kCorrupt, "needs 8 bytes, 2 remain"},
    {"GLOBAL without an end", "cos", ErrorCode::kCorrupt, "has a line without an end"},
    {"GLOBAL without a second line", "ca\nb", ErrorCode::kCorrupt, "has a line without an end"},
    {"GLOBAL of a long module", whole(global(repeat("a", 1025), "b")), ErrorCode::kUnsupported,
     "a name of 1025 bytes, at most 1024"},
    {"STACK_GLOBAL of a long name", whole(text("a") + text(repeat("b", 1025)) + "\x93"),
     ErrorCode::kUnsupported, "a name of 1025 bytes, at most 1024"},
    {"INT without an end", "I1", ErrorCode::kCorrupt, "has a line without an end"},
    {"INT that is no number", whole("I1x\n"), ErrorCode::kCorrupt, "`1x` is no value of its kind"},
    {"a frame beyond the end", whole("\x95" + little(5, 8)), ErrorCode::kCorrupt,
     "a frame of 5 bytes, 1 remain"},

    // The stack, marks and types.
    {"TUPLE without a mark", whole("Nt"), ErrorCode::kCorrupt, "there is no mark"},
    {"TUPLE2 of one value", whole("N\x86"), ErrorCode::kCorrupt, "too few values"},
    {"TUPLE1 below a mark", whole("N(\x85"), ErrorCode::kCorrupt, "too few values"},
    {"POP of nothing", whole("0"), ErrorCode::kCorrupt, "there is no mark"},
    {"POP_MARK without a mark", whole("N1"), ErrorCode::kCorrupt, "there is no mark"},
    {"DUP of nothing", whole("2"), ErrorCode::kCorrupt, "too few values"},
    {"APPEND without a list", whole("Na"), ErrorCode::kCorrupt, "too few values"},
    {"APPEND to a tuple", whole(")Na"), ErrorCode::kCorrupt, "cannot take such items"},
    {"APPEND to an integer", whole("K\x01Na"), ErrorCode::kCorrupt, "cannot take such items"},
    {"APPEND to a class", whole(global("m", "C") + "Na"), ErrorCode::kCorrupt, "cannot take"},
    {"APPENDS to a dict", whole("}(Ne"), ErrorCode::kCorrupt, "cannot take such items"},
    {"APPENDS to a set", whole("\x8f(Ne"), ErrorCode::kCorrupt, "cannot take such items"},
    {"APPENDS with the mark at the bottom", whole("(Ne"), ErrorCode::kCorrupt, "too few values"},
    {"APPENDS below a second mark", whole("]((Ne"), ErrorCode::kCorrupt, "too few values"},
    {"ADDITEMS to a list", whole("](N\x90"), ErrorCode::kCorrupt, "cannot take such items"},
    {"SETITEM on a list", whole("]K\0Ns"s), ErrorCode::kCorrupt, "cannot take such items"},
    {"SETITEM on text", whole(text("a") + "K\0Ns"s), ErrorCode::kCorrupt, "cannot take"},
    {"SETITEM without a key", whole("}Ns"), ErrorCode::kCorrupt, "too few values"},
    {"SETITEMS of an odd number", whole("}(NNNu"), ErrorCode::kCorrupt,
     "an odd number of keys and values, 3"},
    {"REDUCE of an integer", whole("K\x01)R"), ErrorCode::kCorrupt, "calls what is not a class"},
    {"REDUCE of a dict", whole("})R"), ErrorCode::kCorrupt, "calls what is not a class"},
    {"REDUCE with a list", whole(global("m", "f") + "]R"), ErrorCode::kCorrupt,
     "the arguments are no tuple"},
    {"NEWOBJ with an integer", whole(global("m", "C") + "K\x01\x81"), ErrorCode::kCorrupt,
     "the arguments are no tuple"},
    {"NEWOBJ_EX with a tuple for the keywords", whole(global("m", "C") + "))\x92"),
     ErrorCode::kCorrupt, "keyword arguments are not a dict"},
    {"OBJ without a class", whole("(o"), ErrorCode::kCorrupt, "too few values"},
    {"OBJ of an integer", whole("(K\x01o"), ErrorCode::kCorrupt, "calls what is not a class"},
    {"INST without a mark", whole("im\nC\n"), ErrorCode::kCorrupt, "there is no mark"},
    {"BUILD on an integer", whole("K\x01}b"), ErrorCode::kCorrupt,
     "state for what is not an object"},
    {"BUILD on a class", whole(global("m", "C") + "}b"), ErrorCode::kCorrupt,
     "state for what is not an object"},
    {"BUILD on a dict", whole("}}b"), ErrorCode::kCorrupt, "state for what is not an object"},
    {"BUILD twice", whole(kObject + "}b}b"), ErrorCode::kUnsupported,
     "a second state for one object"},
    {"STACK_GLOBAL of an integer", whole(text("os") + "K\x01\x93"), ErrorCode::kCorrupt,
     "the name of a class is not text"},
    {"STACK_GLOBAL of bytes", whole("C\x01m" + text("C") + "\x93"), ErrorCode::kCorrupt,
     "the name of a class is not text"},
    {"a class name with a line break", whole(text("m") + text("a\nb") + "\x93"),
     ErrorCode::kCorrupt, "is no name of a class"},
    {"a class without a name", whole(global("m", "")), ErrorCode::kCorrupt,
     "is no name of a class"},
    {"a class without a module", whole(global("", "C")), ErrorCode::kCorrupt, "is no name of"},
    {"BINPERSID of nothing", whole("Q"), ErrorCode::kCorrupt, "too few values"},

    // Text.
    {"text that is not UTF-8", whole(text("\xff")), ErrorCode::kCorrupt, "text that is not UTF-8"},
    {"text longer than it need be", whole(text("\xc0\x80")), ErrorCode::kCorrupt, "is not UTF-8"},
    {"half of a surrogate pair", whole(text("a\xed\xa0\x80")), ErrorCode::kUnsupported,
     "text with half of a surrogate pair"},
    {"a class name that is not UTF-8", whole(global("m\xff", "C")), ErrorCode::kCorrupt,
     "is not UTF-8"},

    // The memo.
    {"BINGET of what was never set", whole("h\0"s), ErrorCode::kCorrupt,
     "opcode 0x68 (BINGET) at byte 2: memo number 0 was never set"},
    {"LONG_BINGET of 2^32 - 1", whole("j\xff\xff\xff\xff"), ErrorCode::kCorrupt, "was never set"},
    {"BINPUT of nothing", whole("q\0"s), ErrorCode::kCorrupt, "too few values"},
    {"LONG_BINPUT of 2^32 - 1", whole("Nr\xff\xff\xff\xff"), ErrorCode::kCorrupt,
     "memo number 4294967295 in a pickle of 9 bytes"},
    {"LONG_BINPUT of more than the pickle has bytes", whole("N" + pickle::long_put(10)),
     ErrorCode::kCorrupt, "memo number 10 in a pickle of 9 bytes"},
    {"MEMOIZE of nothing", whole("\x94"), ErrorCode::kCorrupt, "too few values"},

    // What is known and not read.
    {"EXT1", whole("\x82\x01"), ErrorCode::kUnsupported, "names a class by a number"},
    {"EXT2", whole("\x83\x01\x01"), ErrorCode::kUnsupported, "names a class by a number"},
    {"EXT4", whole("\x84\x01\x01\x01\x01"), ErrorCode::kUnsupported, "names a class by a number"},
    {"NEXT_BUFFER", whole("\x97"), ErrorCode::kUnsupported, "refers to a buffer"},
    {"READONLY_BUFFER", whole("N\x98"), ErrorCode::kUnsupported, "refers to a buffer"},
    {"PERSID", "P('storage', 1)\n.", ErrorCode::kUnsupported,
     "opcode 0x50 (PERSID) at byte 0: a persistent id as text"},
    {"STRING without quotes", "Sa\n.", ErrorCode::kCorrupt, "`a` is no value of its kind"},
    {"STRING with two kinds of quotes", "S'a\"\n.", ErrorCode::kCorrupt, "is no value of its kind"},
    {"STRING of one quote", "S'\n.", ErrorCode::kCorrupt, "is no value of its kind"},
    {"STRING with an unknown escape", "S'\\q'\n.", ErrorCode::kCorrupt, "is no value of its kind"},
    {"STRING with half an escape", "S'\\x1'\n.", ErrorCode::kCorrupt, "is no value of its kind"},
    {"STRING that ends in a backslash", "S'\\'\n.", ErrorCode::kCorrupt, "is no value of its kind"},
    {"UNICODE with half an escape", "V\\u12\n.", ErrorCode::kCorrupt, "is no value of its kind"},
    {"UNICODE beyond the last character", "V\\U00110000\n.", ErrorCode::kCorrupt,
     "is no value of its kind"},
    {"UNICODE of half a pair", "V\\ud83d\n.", ErrorCode::kUnsupported, "half of a surrogate pair"},
    {"UNICODE without an end", "Va", ErrorCode::kCorrupt, "has a line without an end"},
    {"FLOAT that is none", "F1.5x\n.", ErrorCode::kCorrupt, "`1.5x` is no value of its kind"},
    {"LONG that is none", "L1-L\n.", ErrorCode::kCorrupt, "`1-` is no value of its kind"},
    {"LONG of nothing", "LL\n.", ErrorCode::kCorrupt, "is no value of its kind"},
    {"LONG of more digits than Python reads", "L" + repeat("9", 4301) + "L\n.", ErrorCode::kCorrupt,
     "is no value of its kind"},
    {"PUT of no number", "Np-1\n.", ErrorCode::kCorrupt, "`-1` is no value of its kind"},
    {"PUT of a large number", "Np99999\n.", ErrorCode::kCorrupt,
     "memo number 99999 in a pickle of"},
    {"GET of what was not put", "g0\n.", ErrorCode::kCorrupt, "memo number 0 was never set"},
    {"DICT without a mark", "NNd.", ErrorCode::kCorrupt, "there is no mark"},
    {"DICT of an odd number", "(Nd.", ErrorCode::kCorrupt, "an odd number of keys and values, 1"},
    {"LIST without a mark", "l.", ErrorCode::kCorrupt, "there is no mark"},

    // Size.
    {"a hundred thousand marks", whole(repeat("(", 100'000) + "N"), ErrorCode::kUnsupported,
     "more than 1000 open marks"},
};

// A pickle with nearly every opcode in it.
std::string busy_pickle() {
  return whole("}q\0("s + text("weight") + pickle::tensor() + pickle::short_text("list") +
               "](K\x01M\x01\x02J\1\2\3\4\x8a\x02\1\2" + "G" + repeat("\1", 8) + "eC\1\2" +
               pickle::stack_global("m", "C") + ")\x81}" + text("k") + "Nsb" + text("set") +
               "\x8f(K\1\x90" + text("t") + "N\x88\x86" + text("d") +
               pickle::ordered_dict({text("k"), "\x89"}) + "u");
}

TEST_SUITE("checkpoint/hostile_pickle") {
  TEST_CASE("a pickle that breaks a rule is refused with opcode and byte") {
    for (const Row& row : kRows) {
      CAPTURE(row.name);
      const auto decoded = decode_pickle(bytes_of(row.bytes));
      REQUIRE_FALSE(decoded);
      CAPTURE(decoded.error().message());
      CHECK(decoded.error().code() == row.code);
      CHECK(contains(decoded.error().message(), row.text));
    }
  }

  TEST_CASE("a thousand marks are read") {
    const std::string bytes = whole(repeat("(", 1000) + repeat("t", 1000));
    CHECK(decode_pickle(bytes_of(bytes)));
  }

  TEST_CASE("every prefix of a good pickle is refused") {
    const std::string good = busy_pickle();
    REQUIRE(decode_pickle(bytes_of(good)));
    for (std::size_t size = 0; size < good.size(); ++size) {
      CAPTURE(size);
      // A copy of its own, so that a sanitizer sees a read behind the end.
      const auto first = bytes_of(good).first(size);
      const std::vector<std::byte> prefix(first.begin(), first.end());
      const auto decoded = decode_pickle(prefix);
      REQUIRE_FALSE(decoded);
      CHECK(decoded.error().code() == ErrorCode::kCorrupt);
    }
  }

  TEST_CASE("every change of one byte of a good pickle is decoded or refused within the limits") {
    const std::string good = busy_pickle();
    std::size_t decoded_count = 0;
    for (std::size_t at = 0; at < good.size(); ++at) {
      std::string changed = good;
      for (int value = 0; value < 256; ++value) {
        changed[at] = static_cast<char>(value);
        const auto decoded = decode_pickle(bytes_of(changed));
        if (!decoded) continue;
        ++decoded_count;
        if (decoded->values.size() > changed.size() || decoded->steps > changed.size()) {
          FAIL("byte " << at << " set to " << value);
        }
      }
    }
    CHECK(decoded_count > good.size());
    CHECK(decoded_count < good.size() * 255);
  }

  TEST_CASE("memo numbers and doubled values cost no more than a constant factor") {
    // Each doubles a tuple of two: 2^50000 leaves if anybody walked them one by one.
    const std::string doubled = whole("N" + repeat("2\x86", 50'000));
    const auto decoded = decode_pickle(bytes_of(doubled));
    REQUIRE(decoded);
    CHECK(decoded->values.size() <= doubled.size());
    const auto opened = open_bytes(checkpoint_file(doubled));
    REQUIRE_FALSE(opened);
    CHECK(contains(opened.error().message(), "nested deeper than 1000 levels"));

    const std::string memo = whole("N" + repeat("q\xff", 1000) + pickle::long_put(2000));
    CHECK(decode_pickle(bytes_of(memo)));
  }
}

}  // namespace
}  // namespace weightmap::tests
