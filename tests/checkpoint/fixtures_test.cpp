// SPDX-License-Identifier: Apache-2.0
// Every checkpoint that real PyTorch wrote, against what PyTorch saw when it loaded it again.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "checkpoint/checkpoint.h"
#include "checkpoint/storage_reader.h"
#include "support/checkpoint_check.h"
#include "support/expectation.h"
#include "support/file_bytes.h"

namespace weightmap::tests {
namespace {

using checkpoint::Checkpoint;

std::string bytes_of(const Checkpoint& found, const checkpoint::Storage& storage) {
  std::string bytes(storage.size_bytes, '\0');
  io::ReadAhead ahead;
  checkpoint::StorageReader reader(found, storage, ahead);
  const auto read = reader.read(std::as_writable_bytes(std::span(bytes)));
  REQUIRE_MESSAGE(read, (read ? "" : read.error().message()));
  CHECK(reader.crc_matches().value_or(true));
  return bytes;
}

// The elements in row-major order: the last dimension changes first.
std::string picked(const std::string& storage, const ExpectedTensor& tensor, std::size_t size) {
  std::string bytes;
  std::vector<std::int64_t> at(tensor.shape.size());
  const bool is_empty = std::ranges::count(tensor.shape, 0) > 0;
  while (!is_empty) {
    const auto element =
        std::inner_product(at.begin(), at.end(), tensor.strides.begin(), std::int64_t{0});
    const auto offset = tensor.storage_offset_bytes + static_cast<std::size_t>(element) * size;
    bytes += storage.substr(offset, size);
    std::size_t i = at.size();
    while (i > 0 && ++at[i - 1] == tensor.shape[i - 1])
      at[--i] = 0;
    if (i == 0) break;
  }
  return bytes;
}

// Decimal digits of a little-endian two's complement number of any length.
std::string decimal(std::string_view little) {
  std::vector<unsigned> bytes;
  for (const char byte : little)
    bytes.push_back(static_cast<unsigned char>(byte));
  const bool is_negative = bytes.back() >= 0x80;
  if (is_negative) {
    unsigned carry = 1;
    for (unsigned& byte : bytes) {
      carry += 255 - byte;
      byte = carry & 255U;
      carry >>= 8U;
    }
  }
  std::string digits;
  while (std::ranges::any_of(bytes, [](unsigned byte) { return byte != 0; })) {
    unsigned rest = 0;
    for (auto byte = bytes.rbegin(); byte != bytes.rend(); ++byte) {
      rest = rest * 256 + *byte;
      *byte = rest / 10;
      rest %= 10;
    }
    digits += static_cast<char>('0' + rest);
  }
  if (is_negative) digits += '-';
  std::ranges::reverse(digits);
  return digits;
}

double real_of(const nlohmann::json& value) {
  if (value == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (value == "inf") return std::numeric_limits<double>::infinity();
  if (value == "-inf") return -std::numeric_limits<double>::infinity();
  return value;
}

bool same_real(double a, double b) {
  return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b) ||
         (std::isnan(a) && std::isnan(b));
}

std::string dotted(std::string_view global) {
  std::string name(global);
  std::ranges::replace(name, '\n', '.');
  return name;
}

// Pairs of things that must go together, each with one other only.
class Bijection {
 public:
  // Whether the pair was met before.
  bool meet(std::size_t expected, std::size_t found) {
    const auto [to, is_new] = to_.emplace(expected, found);
    const auto [back, is_new_back] = back_.emplace(found, expected);
    CHECK(to->second == found);
    CHECK(back->second == expected);
    return !is_new;
  }
  std::size_t size() const { return to_.size(); }

 private:
  std::map<std::size_t, std::size_t> to_;
  std::map<std::size_t, std::size_t> back_;
};

class Comparison {
 public:
  Comparison(const Expectation& expected, const Checkpoint& found)
      : expected_(expected), found_(found) {}

  void run() {
    nodes(expected_.root, found_.values.root());
    CHECK(tensors_.size() == found_.tensors.size());
    CHECK(storages_.size() == found_.storages.size());
    CHECK(storages_.size() == expected_.storages.size());
  }

 private:
  void nodes(std::size_t expected, std::uint32_t found);
  void scalar(const ExpectedNode& expected, std::uint32_t found);
  void opaque(const ExpectedNode& expected, std::uint32_t found);
  void children(std::span<const std::size_t> expected, std::span<const std::uint32_t> found);
  void tensor(const ExpectedTensor& expected, std::size_t number);
  void storage(const ExpectedTensor& expected, const checkpoint::Tensor& found);

  const Expectation& expected_;
  const Checkpoint& found_;
  Bijection containers_;
  Bijection tensors_;
  Bijection storages_;
};

void Comparison::nodes(std::size_t expected_number, std::uint32_t found) {
  const ExpectedNode& expected = expected_.nodes[expected_number];
  const ValueNode& node = found_.values.node(found);
  CAPTURE(expected_number);
  REQUIRE(value_kind_name(node.kind) == expected.kind);
  const bool is_container = !expected.children.empty() || expected.kind == "tensor" ||
                            expected.kind == "opaque" || expected.kind == "object" ||
                            expected.kind.ends_with("dict") || expected.kind == "list" ||
                            expected.kind == "set";
  if (is_container && containers_.meet(expected_number, found)) return;
  if (expected.kind == "opaque" || expected.kind == "object") return opaque(expected, found);
  if (!is_container) scalar(expected, found);
  if (expected.kind == "tensor") {
    const auto named = std::ranges::find(expected_.tensors, expected.value.get<std::string>(),
                                         &ExpectedTensor::name);
    REQUIRE(named != expected_.tensors.end());
    tensors_.meet(expected_number, node.number);
    return tensor(*named, node.number);
  }
  children(expected.children, found_.values.items(found));
  REQUIRE(node.has_attributes == expected.attributes.has_value());
  if (expected.attributes) nodes(*expected.attributes, found_.values.children(found).back());
  if (expected.kind == "default_dict") {
    CHECK(dotted(found_.values.text(found)) == expected.factory.value_or(""));
  }
}

void Comparison::children(std::span<const std::size_t> expected,
                          std::span<const std::uint32_t> found) {
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    nodes(expected[i], found[i]);
}

void Comparison::scalar(const ExpectedNode& expected, std::uint32_t found) {
  const ValueGraph& graph = found_.values;
  const std::string text(graph.text(found));
  switch (graph.node(found).kind) {
    case ValueKind::kBool: CHECK((graph.integer(found) != 0) == expected.value.get<bool>()); break;
    case ValueKind::kInt:
    case ValueKind::kBigInt: {
      const std::string digits =
          expected.value.is_string() ? expected.value.get<std::string>() : expected.value.dump();
      CHECK((text.empty() ? std::to_string(graph.integer(found)) : decimal(text)) == digits);
      break;
    }
    case ValueKind::kFloat: CHECK(same_real(graph.real(found), real_of(expected.value))); break;
    case ValueKind::kComplex: {
      REQUIRE(text.size() == 16);
      double parts[2];
      std::memcpy(parts, text.data(), sizeof parts);
      CHECK(same_real(parts[0], real_of(expected.value[0])));
      CHECK(same_real(parts[1], real_of(expected.value[1])));
      break;
    }
    case ValueKind::kBytes:
    case ValueKind::kByteArray: CHECK(text == from_hex(expected.value)); break;
    case ValueKind::kStr:
    case ValueKind::kDevice: CHECK(text == expected.value.get<std::string>()); break;
    case ValueKind::kDtype:
      CHECK(dtype_name(static_cast<Dtype>(graph.node(found).number)) ==
            expected.value.get<std::string>());
      break;
    default: CHECK(expected.value.is_null()); break;
  }
}

void Comparison::opaque(const ExpectedNode& expected, std::uint32_t found) {
  const auto parts = found_.values.children(found);
  REQUIRE(parts.size() == kOpaqueChildren);
  CHECK(dotted(found_.values.text(found)) == expected.value.get<std::string>());
  children(expected.children, found_.values.items(parts[0]));
  const bool has_state = found_.values.node(parts[2]).kind != ValueKind::kNone;
  REQUIRE(has_state == expected.state.has_value());
  if (has_state) nodes(*expected.state, parts[2]);
}

void Comparison::tensor(const ExpectedTensor& expected, std::size_t number) {
  CAPTURE(expected.name);
  const checkpoint::Tensor& found = found_.tensors.at(number);
  CHECK(dtype_name(found.dtype) == expected.dtype);
  CHECK(std::ranges::equal(found_.shape(found), expected.shape));
  CHECK(std::ranges::equal(found_.strides(found), expected.strides));
  CHECK(found.requires_grad == expected.requires_grad);
  CHECK(found.is_parameter == expected.parameter);
  CHECK(found.conj == expected.conj);
  CHECK(found.neg == expected.neg);
  CHECK(found.meta == expected.meta);
  CHECK_FALSE(found.uninitialized);
  REQUIRE((found.storage == checkpoint::kNoStorage) == !expected.storage.has_value());
  if (expected.storage) storage(expected, found);
}

void Comparison::storage(const ExpectedTensor& expected, const checkpoint::Tensor& found) {
  const ExpectedStorage& storage = expected_.storages.at(*expected.storage);
  const checkpoint::Storage& place = found_.storages.at(found.storage);
  CHECK(found.offset_bytes == expected.storage_offset_bytes);
  CHECK(picked(storage.bytes, expected, dtype_info(found.dtype).element_bits / 8) ==
        expected.bytes);
  if (storages_.meet(*expected.storage, found.storage)) return;
  REQUIRE(place.size_bytes == storage.size_bytes);
  CHECK(bytes_of(found_, place) == storage.bytes);
}

std::string fixture(const std::string& name) {
  return std::string(WEIGHTMAP_TEST_DATA) + "/checkpoints/" + name;
}

// By the name of the fixture: the zip checkpoints of every version lie in folders of their own.
std::string kind_of(const std::string& path) {
  const std::string name = path.substr(path.rfind('/') + 1);
  if (name.starts_with("legacy_")) return "legacy checkpoint";
  if (name.starts_with("tar_")) return "tar checkpoint";
  return name.starts_with("script_") ? "TorchScript archive" : "zip checkpoint";
}

TEST_SUITE("checkpoint/fixtures") {
  TEST_CASE("every checkpoint is read as PyTorch reads it") {
    const auto paths = described_checkpoints(WEIGHTMAP_TEST_DATA);
    REQUIRE(paths.size() >= 34);
    for (const std::string& path : paths) {
      CAPTURE(path);
      const auto found = checkpoint::open_checkpoint(path, {});
      REQUIRE_MESSAGE(found, (found ? "" : found.error().message()));
      CHECK(found->kind == kind_of(path));
      CHECK(found->crc_mismatches.empty());
      CHECK(broken_promise(*found) == "");
      Comparison(read_expectation(description_of(path)), *found).run();
    }
  }

  TEST_CASE("Python attributes of tensors are kept") {
    const auto found = checkpoint::open_checkpoint(fixture("torch-2.13/attributes.pt"), {});
    REQUIRE(found);
    const ValueGraph& graph = found->values;
    const auto items = graph.items(graph.root());
    REQUIRE(items.size() == 4);
    const auto attribute = [&](std::uint32_t tensor) {
      REQUIRE(graph.node(tensor).kind == ValueKind::kTensor);
      REQUIRE(graph.node(tensor).has_attributes);
      CHECK(graph.items(tensor).empty());
      const std::uint32_t dict = graph.children(tensor).back();
      REQUIRE(graph.node(dict).kind == ValueKind::kDict);
      return graph.items(dict);
    };
    const auto tag = attribute(items[1]);
    REQUIRE(tag.size() == 2);
    CHECK(graph.text(tag[0]) == "tag");
    CHECK(graph.text(tag[1]) == "decay");
    const auto persistent = attribute(items[3]);
    REQUIRE(persistent.size() == 2);
    CHECK(graph.text(persistent[0]) == "persistent");
    CHECK(graph.node(persistent[1]).kind == ValueKind::kBool);
    CHECK(graph.integer(persistent[1]) == 1);
  }

  TEST_CASE("what is not supported is named with its place") {
    struct Row {
      const char* file;
      ErrorCode code;
      const char* text;
    };
    const Row rows[] = {
        {"self_reference.pt", ErrorCode::kUnsupported, "`self`: an object that refers to itself"},
    };
    for (const Row& row : rows) {
      CAPTURE(row.file);
      const auto found =
          checkpoint::open_checkpoint(fixture(std::string("unsupported/") + row.file), {});
      REQUIRE_FALSE(found);
      CHECK(found.error().code() == row.code);
      CHECK(found.error().message().starts_with(fixture("unsupported/")));
      CHECK(found.error().message().find(row.text) != std::string::npos);
    }
  }

  TEST_CASE("two tensors whose dotted names would be equal are two tensors here") {
    const auto found = checkpoint::open_checkpoint(fixture("unsupported/name_collision.pt"), {});
    REQUIRE(found);
    CHECK(found->tensors.size() == 2);
  }

  TEST_CASE("with strict globals, what weights_only=True loads is read and the rest is refused") {
    for (const char* version : {"torch-1.13/", "torch-2.13/"}) {
      for (const char* name : {"state_dict", "ties", "views", "dtypes", "shapes", "many", "meta"}) {
        const std::string path = fixture(std::string(version) + name + ".pt");
        CAPTURE(path);
        CHECK(checkpoint::open_checkpoint(path, {.strict_globals = true}));
      }
    }
    const auto refused =
        checkpoint::open_checkpoint(fixture("torch-2.13/opaque.pt"), {.strict_globals = true});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == ErrorCode::kUnsafe);
    CHECK(refused.error().message().find("names `argparse.Namespace`, which "
                                         "torch.load(weights_only=True) refuses") !=
          std::string::npos);
  }
}

}  // namespace
}  // namespace weightmap::tests
