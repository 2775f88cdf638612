// SPDX-License-Identifier: Apache-2.0
#include "convert/pickle_writer.h"

#include <functional>
#include <limits>
#include <vector>

#include <doctest/doctest.h>

namespace weightmap::convert {
namespace {

using namespace std::string_literals;

// The opcodes between PROTO 2 and STOP.
std::string body(const std::function<void(PickleWriter&)>& write) {
  PickleWriter writer;
  write(writer);
  const std::string pickle = writer.finish();
  CHECK(pickle.substr(0, 2) == "\x80\x02");
  CHECK(pickle.back() == '.');
  return pickle.substr(2, pickle.size() - 3);
}

TEST_SUITE_BEGIN("convert/pickle_writer");

// Expectations: pickle.dumps(value, 2) of Python.
TEST_CASE("integers take the opcodes that Python chooses") {
  const std::vector<std::pair<std::int64_t, std::string>> rows = {
      {0, "K\0"s},
      {255, "K\xff"s},
      {256, "M\0\1"s},
      {65535, "M\xff\xff"s},
      {65536, "J\0\0\1\0"s},
      {-1, "J\xff\xff\xff\xff"s},
      {2147483647, "J\xff\xff\xff\x7f"s},
      {-2147483648, "J\0\0\0\x80"s},
      // LONG1 of eight bytes, where Python leaves out those that only repeat the sign.
      {2147483648, "\x8a\x08\0\0\0\x80\0\0\0\0"s},
      {std::numeric_limits<std::int64_t>::min(), "\x8a\x08\0\0\0\0\0\0\0\x80"s},
  };
  for (const auto& row : rows) {
    const auto& [value, expected] = row;
    CAPTURE(row.first);
    CHECK(body([value = value](PickleWriter& out) { out.integer(value); }) == expected);
  }
}

TEST_CASE("long integers change their opcode at 256 bytes") {
  const std::string short_one(255, '\1');
  CHECK(body([&](PickleWriter& out) { out.big_integer(short_one); }) == "\x8a\xff" + short_one);
  const std::string long_one(256, '\1');
  CHECK(body([&](PickleWriter& out) { out.big_integer(long_one); }) == "\x8b\0\1\0\0"s + long_one);
}

TEST_CASE("reals are big-endian") {
  CHECK(body([](PickleWriter& out) { out.real(1.5); }) == "G\x3f\xf8\0\0\0\0\0\0"s);
}

TEST_CASE("bytes are a text of latin1") {
  CHECK(body([](PickleWriter& out) { out.bytes("a\x80\xff"); }) ==
        "c_codecs\nencode\nq\0X\5\0\0\0a\xc2\x80\xc3\xbfX\6\0\0\0latin1q\1\x86R"s);
}

TEST_CASE("classes and remembered texts are written once") {
  CHECK(body([](PickleWriter& out) {
          out.global("torch", "device");
          out.remembered_text("cpu");
          out.global("torch", "device");
          out.remembered_text("cpu");
        }) == "ctorch\ndevice\nq\0X\3\0\0\0cpuq\1h\0h\1"s);
}

TEST_CASE("places in the memo change their opcode at 256") {
  const std::string all = body([](PickleWriter& out) {
    for (int i = 0; i < 257; ++i)
      out.put();
    out.get(255);
    out.get(256);
  });
  CHECK(all.ends_with("q\xffr\0\1\0\0h\xffj\0\1\0\0"s));
}

TEST_CASE("a name with dots asks for the protocol that looks it up step by step") {
  PickleWriter out;
  out.global("module", "Outer.Inner");
  CHECK(out.finish() == "\x80\4cmodule\nOuter.Inner\nq\0."s);
}

}  // namespace
}  // namespace weightmap::convert
