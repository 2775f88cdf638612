// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/json_events.h"

#include <algorithm>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "base/text.h"

namespace weightmap::checkpoint {
namespace {

using Json = nlohmann::json;

Error corrupt(std::string message) {
  return {ErrorCode::kCorrupt, std::move(message)};
}

// The library's listener; remembers the first failure.
class Relay : public nlohmann::json_sax<Json> {
 public:
  explicit Relay(JsonListener& listener) : listener_(listener) {}

  const std::optional<Error>& failure() const { return failure_; }

  bool null() override { return scalar({.kind = JsonKind::kNull}); }
  bool boolean(bool value) override {
    return scalar({.kind = JsonKind::kBool, .number = value ? 1U : 0U});
  }
  bool number_integer(number_integer_t value) override {
    return scalar({.kind = value < 0 ? JsonKind::kInt : JsonKind::kUnsigned,
                   .number = static_cast<std::uint64_t>(value)});
  }
  bool number_unsigned(number_unsigned_t value) override {
    return scalar({.kind = JsonKind::kUnsigned, .number = value});
  }
  bool number_float(number_float_t value, const string_t& /*text*/) override {
    return scalar({.kind = JsonKind::kFloat, .real = value});
  }
  bool string(string_t& value) override {
    return scalar({.kind = JsonKind::kString, .text = value});
  }
  bool binary(binary_t& /*value*/) override { return false; }  // not in JSON
  bool key(string_t& value) override { return keep(listener_.key(value)); }
  bool start_object(std::size_t /*size*/) override {
    return enter() && keep(listener_.open_object());
  }
  bool start_array(std::size_t /*size*/) override {
    return enter() && keep(listener_.open_array());
  }
  bool end_object() override { return leave(); }
  bool end_array() override { return leave(); }
  bool parse_error(std::size_t position,
                   const std::string& /*token*/,
                   const Json::exception& /*exception*/) override {
    return keep(corrupt(concat("is no valid JSON at byte ", position)));
  }

 private:
  bool scalar(const JsonScalar& value) { return keep(listener_.scalar(value)); }
  bool enter() {
    if (++depth_ <= kMaxJsonDepth) return true;
    return keep(corrupt(concat("nests deeper than ", kMaxJsonDepth, " levels")));
  }
  bool leave() {
    --depth_;
    return keep(listener_.close());
  }
  bool keep(const Result<void>& outcome) {
    if (!outcome && !failure_) failure_ = outcome.error();
    return !failure_;
  }

  JsonListener& listener_;
  std::uint32_t depth_ = 0;
  std::optional<Error> failure_;
};

}  // namespace

std::string_view json_kind_text(JsonKind kind) {
  switch (kind) {
    case JsonKind::kNull: return "null";
    case JsonKind::kBool: return "a boolean";
    case JsonKind::kInt: return "a negative integer";
    case JsonKind::kUnsigned: return "an integer";
    case JsonKind::kFloat: return "a floating-point number";
    case JsonKind::kString: return "a string";
  }
  return "a value";
}

Result<void> read_json(std::span<const std::byte> text, JsonListener& listener) {
  // The library takes a NUL for the end of the text, and passes over a byte order mark.
  const auto nul = std::ranges::find(text, std::byte{0});
  if (nul != text.end()) return corrupt(concat("is no valid JSON at byte ", nul - text.begin()));
  const auto* const begin = reinterpret_cast<const char*>(text.data());
  if (std::string_view(begin, text.size()).starts_with("\xEF\xBB\xBF")) {
    return corrupt("is no valid JSON at byte 0");
  }
  Relay relay(listener);
  if (Json::sax_parse(begin, begin + text.size(), &relay)) return {};
  return relay.failure() ? *relay.failure() : corrupt("is no valid JSON");
}

}  // namespace weightmap::checkpoint
