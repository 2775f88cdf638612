// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "weightmap/result.h"

// JSON, event by event: nothing of the text is kept, so a hostile one costs no memory.
namespace weightmap::checkpoint {

inline constexpr std::uint64_t kMaxJsonBytes =
    100'000'000;                                     // as the reference of safetensors has it
inline constexpr std::uint32_t kMaxJsonDepth = 100;  // of arrays and objects

enum class JsonKind : std::uint8_t { kNull, kBool, kInt, kUnsigned, kFloat, kString };

struct JsonScalar {
  JsonKind kind = JsonKind::kNull;
  std::uint64_t number = 0;  // kBool: 0 or 1; kInt: negative, two's complement; kUnsigned
  double real = 0;           // kFloat
  std::string_view text;     // kString: UTF-8; valid during the call
};

// What reads a text. An error ends the reading. Keys may come twice.
class JsonListener {
 public:
  virtual ~JsonListener() = default;
  virtual Result<void> scalar(const JsonScalar& value) = 0;
  virtual Result<void> key(std::string_view name) = 0;
  virtual Result<void> open_object() = 0;
  virtual Result<void> open_array() = 0;
  virtual Result<void> close() = 0;
};

// "an integer", "a string": for messages.
std::string_view json_kind_text(JsonKind kind);

// Errors: kCorrupt for what is no JSON, or not in UTF-8, or nests deeper than kMaxJsonDepth;
// those of the listener. Messages name no file.
Result<void> read_json(std::span<const std::byte> text, JsonListener& listener);

}  // namespace weightmap::checkpoint
