// SPDX-License-Identifier: Apache-2.0
#include <limits>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "opened.h"
#include "recorded.h"
#include "show.h"

namespace weightmap::tests {
namespace {

TEST_SUITE_BEGIN("checkpoint/safetensors");

std::string with_length(std::uint64_t length, const std::string& rest) {
  return pickle::little(length, 8) + rest;
}

std::string file_of(const std::string& header, const std::string& data = "") {
  return with_length(header.size(), header + data);
}

// {"a": {...}} of a dtype, a shape and a range as they are written.
std::string one(const std::string& dtype, const std::string& shape, const std::string& range) {
  return R"({"a":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + range +
         "}}";
}

std::string entry(const std::string& name, int begin, int end) {
  const std::string size = std::to_string(end - begin);
  return '"' + name + R"(":{"dtype":"U8","shape":[)" + size + R"(],"data_offsets":[)" +
         std::to_string(begin) + "," + std::to_string(end) + "]}";
}

std::string metadata_text(const nlohmann::json& expected) {
  std::string text;
  for (const auto& [key, value] : expected.items()) {
    text += (text.empty() ? "'" : ", '") + key + "': '" + value.get<std::string>() + "'";
  }
  return "{'__metadata__': {" + text + "}}";
}

TEST_CASE("what the reference wrote is read as the reference reads it") {
  for (const std::string name : {"dtypes", "shapes", "empty", "only_metadata", "unaligned"}) {
    CAPTURE(name);
    const auto expected = recorded("safetensors/" + name);
    const auto found =
        checkpoint::open_checkpoint(source_path("safetensors/" + name) + ".safetensors", {});
    REQUIRE_MESSAGE(found, message_of(found));
    CHECK(found->kind == "safetensors file");
    check_recorded(*found, expected);
    for (std::size_t i = 0; i < found->tensors.size(); ++i) {
      CHECK(std::ranges::equal(found->strides(found->tensors[i]),
                               expected["tensors"][i]["strides"].get<std::vector<std::int64_t>>()));
    }
  }
}

TEST_CASE("metadata are kept as an attribute of the dict") {
  const auto shapes =
      checkpoint::open_checkpoint(source_path("safetensors/shapes.safetensors"), {});
  REQUIRE(shapes);
  const std::string text = root_attributes(shapes->values);
  CHECK(contains(text, "'format': 'pt'"));
  CHECK(contains(text, "'schlüssel': 'grün\n'"));
  const auto only =
      checkpoint::open_checkpoint(source_path("safetensors/only_metadata.safetensors"), {});
  REQUIRE(only);
  CHECK(root_attributes(only->values) ==
        metadata_text(recorded("safetensors/only_metadata")["metadata"]));
  const auto none = checkpoint::open_checkpoint(source_path("safetensors/empty.safetensors"), {});
  REQUIRE(none);
  CHECK(root_attributes(none->values) == "");
}

TEST_CASE("what the reference takes is taken") {
  struct Row {
    std::string name;
    std::string header;
    std::string data;
  };
  // Each loaded with safetensors 0.8.0 and torch 2.13.
  const Row rows[] = {
      {"no tensor", "{}", ""},
      {"blanks on both sides", " \t\r\n" + one("U8", "[2]", "[0,2]") + "\n\t ", "12"},
      {"metadata that are null", R"({"__metadata__":null})", ""},
      {"a size that is large beside a zero", one("U8", "[0,9223372036854775807]", "[0,0]"), ""},
      {"a NUL in a name", R"({"a\u0000":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})", "1"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const auto found = open_bytes(file_of(row.header, row.data));
    CHECK_MESSAGE(found, message_of(found));
  }
}

TEST_CASE("a tensor has up to 64 dimensions") {
  std::string ones = "1";
  for (int i = 1; i < 64; ++i)
    ones += ",1";
  CHECK(open_bytes(file_of(one("U8", "[" + ones + "]", "[0,1]"), "x")));
  const auto deep = open_bytes(file_of(one("U8", "[" + ones + ",1]", "[0,1]"), "x"));
  REQUIRE_FALSE(deep);
  CHECK(deep.error().code() == ErrorCode::kUnsupported);
  CHECK(contains(deep.error().message(), "header: tensor `a`: has more than 64 dimensions"));
}

struct Hostile {
  std::string name;
  std::string bytes;
  std::string text;
  ErrorCode code = ErrorCode::kCorrupt;
};

std::vector<Hostile> hostile_rows() {
  const std::string good = one("U8", "[2]", "[0,2]");
  const std::string max = std::to_string(std::numeric_limits<std::uint64_t>::max());
  return {
      {"a header longer than the limit", with_length(100'000'001, good),
       "header: has 100000001 bytes, at most 100000000 are allowed"},
      {"a header longer than the file", with_length(good.size() + 3, good + "12"),
       "header: has 56 bytes, the file is cut short at 63"},
      {"data cut short", file_of(good, "1"),
       "header: the file is cut short, describes 2 bytes of data vs 1"},
      {"data after the end", file_of(good, "123"), "header: describes 2 bytes of data vs 3"},
      {"no JSON", file_of("{]"), "header: is no valid JSON at byte 2"},
      {"a second text after the first", file_of("{}{}"), "header: is no valid JSON at byte 3"},
      {"NULs after the text", file_of(std::string("{}\0\0", 4)),
       "header: is no valid JSON at byte 2"},
      {"broken UTF-8", file_of("{\"\xFF\":1}"), "header: is no valid JSON at byte"},
      {"half a surrogate pair", file_of(R"({"\ud800":{}})"), "header: is no valid JSON at byte"},
      {"a comment", file_of("{/**/}"), "header: is no valid JSON at byte"},
      {"a number beyond every double", file_of(R"({"a":{"shape":[1e999]}})"),
       "header: is no valid JSON at byte"},
      {"a text value", file_of(R"({"a":"b"})"),
       "header: tensor `a`: a string is not expected here"},
      {"a list for a tensor", file_of(R"({"a":["U8",[2],[0,2]]})", "12"),
       "header: tensor `a`: an array is not expected here"},
      {"nesting", file_of(R"({"a":)" + std::string(5'000'000, '[')),
       "header: tensor `a`: an array is not expected here"},
      {"a name twice", file_of("{" + entry("a", 0, 2) + "," + entry("a", 2, 4) + "}", "1234"),
       "header: two tensors have the name `a`"},
      {"the same tensor twice",
       file_of("{" + entry("a", 0, 2) + "," + entry("a", 0, 2) + "}", "12"),
       "header: two tensors have the name `a`"},
      {"a field twice", file_of(R"({"a":{"dtype":"U8","dtype":"U8"}})"),
       "header: tensor `a`: has two fields `dtype`"},
      {"a field that nobody knows", file_of(R"({"a":{"dtype":"U8","x":1}})"),
       "header: tensor `a`: has a field `x`, which is not known", ErrorCode::kUnsupported},
      {"no dtype", file_of(R"({"a":{"shape":[],"data_offsets":[0,1]}})", "1"),
       "header: tensor `a`: has no dtype"},
      {"no shape", file_of(R"({"a":{"dtype":"U8","data_offsets":[0,1]}})", "1"),
       "header: tensor `a`: has no shape"},
      {"no offsets", file_of(R"({"a":{"dtype":"U8","shape":[1]}})", "1"),
       "header: tensor `a`: has no data_offsets"},
      {"a dtype that is a number", file_of(R"({"a":{"dtype":8}})"),
       "header: tensor `a`: 8 is not expected in its dtype"},
      {"a shape that is a number", file_of(R"({"a":{"shape":8}})"),
       "header: tensor `a`: 8 is not expected in its shape"},
      {"a list in a shape", file_of(one("U8", "[[2]]", "[0,2]"), "12"),
       "header: tensor `a`: an array is not expected in its shape"},
      {"a fraction as a size", file_of(one("U8", "[2.0]", "[0,2]"), "12"),
       "header: tensor `a`: a floating-point number is not expected in its shape"},
      {"a negative size", file_of(one("U8", "[-2]", "[0,2]"), "12"),
       "header: tensor `a`: a negative integer is not expected in its shape"},
      {"a size of 2^63", file_of(one("U8", "[9223372036854775808]", "[0,2]"), "12"),
       "header: tensor `a`: 9223372036854775808 is not expected in its shape"},
      {"a negative offset", file_of(one("U8", "[2]", "[-1,1]"), "12"),
       "header: tensor `a`: a negative integer is not expected in its data_offsets"},
      {"three offsets", file_of(one("U8", "[2]", "[0,2,2]"), "12"),
       "header: tensor `a`: has more than two data_offsets"},
      {"one offset", file_of(one("U8", "[2]", "[0]"), "12"),
       "header: tensor `a`: has less than two data_offsets"},
      {"a dtype that nobody knows", file_of(one("F128", "[2]", "[0,2]"), "12"),
       "header: tensor `a`: has the dtype `F128`, which is not known"},
      {"a dtype in small letters", file_of(one("u8", "[2]", "[0,2]"), "12"),
       "header: tensor `a`: has the dtype `u8`, which is not known"},
      {"a dtype that PyTorch does not have", file_of(one("F6_E2M3", "[4]", "[0,3]"), "123"),
       "header: tensor `a`: has the dtype F6_E2M3, which PyTorch does not have",
       ErrorCode::kUnsupported},
      {"the other one", file_of(one("F6_E3M2", "[4]", "[0,3]"), "123"),
       "header: tensor `a`: has the dtype F6_E3M2, which PyTorch does not have",
       ErrorCode::kUnsupported},
      {"half a byte", file_of(one("F4", "[3,3]", "[0,4]"), "1234"),
       "header: tensor `a`: of F4[3, 3] has 4 bytes, expected 4 and a half"},
      {"half a byte in a scalar", file_of(one("F4", "[]", "[0,1]"), "1"),
       "header: tensor `a`: of F4[] has 1 bytes, expected 0 and a half"},
      {"pairs that do not lie in a row", file_of(one("F4", "[2,3]", "[0,3]"), "123"),
       "header: tensor `a`: of F4[2, 3] has an odd last size, PyTorch has two in an element",
       ErrorCode::kUnsupported},
      {"a shape that is larger than its range", file_of(one("F32", "[2]", "[0,4]"), "1234"),
       "header: tensor `a`: of F32[2] has 4 bytes, expected 8"},
      {"a shape that is smaller than its range", file_of(one("U8", "[]", "[0,2]"), "12"),
       "header: tensor `a`: of U8[] has 2 bytes, expected 1"},
      {"a shape that wraps around", file_of(one("U8", "[4294967296,4294967296]", "[0,0]")),
       "header: tensor `a`: has too large a shape, [4294967296, 4294967296]"},
      {"bytes that wrap around", file_of(one("F64", "[2305843009213693952]", "[0,0]")),
       "header: tensor `a`: has too large a shape, [2305843009213693952]"},
      {"a product that wraps before its zero",
       file_of(one("U8", "[4611686018427387904,8,0]", "[0,0]")),
       "header: tensor `a`: has too large"},
      {"strides that wrap", file_of(one("U8", "[0,4611686018427387904,4]", "[0,0]")),
       "header: tensor `a`: has too large a shape"},
      {"data that begin late", file_of("{" + entry("a", 1, 3) + "}", "123"),
       "header: tensor `a`: begins at byte 1 of the data, expected 0"},
      {"a hole", file_of("{" + entry("a", 0, 2) + "," + entry("b", 3, 4) + "}", "1234"),
       "header: tensor `b`: begins at byte 3 of the data, expected 2"},
      {"an overlap", file_of("{" + entry("a", 0, 3) + "," + entry("b", 2, 4) + "}", "1234"),
       "header: tensor `b`: begins at byte 2 of the data, expected 3"},
      {"one range for two", file_of("{" + entry("a", 0, 2) + "," + entry("b", 0, 2) + "}", "12"),
       "header: tensor `b`: begins at byte 0 of the data, expected 2"},
      {"a range that ends before it begins",
       file_of("{" + entry("a", 0, 2) + R"(,"b":{"dtype":"U8","shape":[],"data_offsets":[2,1]}})",
               "12"),
       "header: tensor `b`: ends at byte 1 of the data, before it begins at 2"},
      {"a range to the end of all numbers", file_of(one("U8", "[1]", "[0," + max + "]"), "1"),
       "header: the file is cut short, describes " + max + " bytes of data vs 1"},
      {"a range beyond all numbers", file_of(one("U8", "[1]", "[0,18446744073709551616]"), "1"),
       "header: tensor `a`: a floating-point number is not expected in its data_offsets"},
      {"metadata twice", file_of(R"({"__metadata__":{},"__metadata__":{}})"),
       "header: there are two `__metadata__`"},
      {"a key of the metadata twice", file_of(R"({"__metadata__":{"a":"1","a":"2"}})"),
       "header: __metadata__: has the key `a` twice"},
      {"metadata that are a string", file_of(R"({"__metadata__":"x"})"),
       "header: __metadata__: a string is not expected here"},
      {"a number among the metadata", file_of(R"({"__metadata__":{"a":1}})"),
       "header: __metadata__: 1 is not expected here"},
      {"an object among the metadata", file_of(R"({"__metadata__":{"a":{}}})"),
       "header: __metadata__: an object is not expected here"},
      {"a null among the metadata", file_of(R"({"__metadata__":{"a":null}})"),
       "header: __metadata__: null is not expected here"},
      {"a control character in a name", file_of(R"({"\u001b[2J":1})"),
       "header: tensor `\\x1b[2J`: 1 is not expected here"},
  };
}

TEST_CASE("a file that breaks a rule is refused, and the tensor is named") {
  for (const Hostile& row : hostile_rows()) {
    CAPTURE(row.name);
    const auto found = open_bytes(row.bytes);
    REQUIRE_FALSE(found);
    CAPTURE(found.error().message());
    CHECK(found.error().code() == row.code);
    CHECK(contains(found.error().message(), "/model.pt: " + row.text));
  }
}

TEST_CASE("a file cut anywhere is refused") {
  const std::string bytes = read_file(source_path("safetensors/shapes.safetensors"));
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CAPTURE(size);
    CHECK_FALSE(open_bytes(bytes.substr(0, size)));
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap::tests
