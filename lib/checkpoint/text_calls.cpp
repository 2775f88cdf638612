// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/text_calls.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <string_view>

#include "base/text.h"

namespace weightmap::checkpoint {
namespace {

class Arguments {
 public:
  Arguments(const Pickle& pickle, const PickleCall& call, Budget& budget)
      : pickle_(pickle), items_(pickle.items_of(pickle.values[call.arguments])), budget_(budget) {}

  std::size_t count() const { return items_.size(); }
  bool is(std::size_t i, PickleKind kind) const { return value(i).kind == kind; }
  const PickleValue& value(std::size_t i) const { return pickle_.values[items_[i]]; }
  std::string_view text(std::size_t i) const {
    const std::string_view text = pickle_.text(value(i));
    budget_.spend(text.size() / 8);
    return budget_.is_spent() ? "" : text;
  }
  Budget& budget() const { return budget_; }
  const Pickle& pickle() const { return pickle_; }

 private:
  const Pickle& pickle_;
  std::span<const ValueId> items_;
  Budget& budget_;
};

bool is_latin1(std::string_view encoding) {
  constexpr std::array<std::string_view, 4> kNames{"latin1", "latin-1", "iso-8859-1", "iso8859-1"};
  return std::ranges::find(kNames, encoding) != kNames.end();
}

// One byte for each character. REQUIRES: valid UTF-8.
std::optional<std::string> to_latin1(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  const auto byte = [&](std::size_t i) -> unsigned { return static_cast<unsigned char>(text[i]); };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (byte(i) < 0x80) {
      bytes += text[i];
    } else if (byte(i) < 0xC4) {  // U+0080 to U+00FF in two bytes
      bytes += static_cast<char>((byte(i) << 6U & 0xC0U) | (byte(i + 1) & 0x3FU));
      ++i;
    } else {
      return std::nullopt;
    }
  }
  return bytes;
}

// bytes() or bytes(b'...'), (text, 'latin1') as protocol 2 has it, or `_codecs.encode` in the
// place of the bytes.
std::optional<std::string> bytes_text(const Arguments& from) {
  if (from.count() == 0) return "";
  if (from.count() == 2 && from.is(0, PickleKind::kStr) && from.is(1, PickleKind::kStr) &&
      is_latin1(from.text(1))) {
    return to_latin1(from.text(0));
  }
  if (from.count() != 1) return std::nullopt;
  if (from.is(0, PickleKind::kBytes)) return std::string(from.text(0));
  if (!from.is(0, PickleKind::kCall)) return std::nullopt;
  const Pickle& pickle = from.pickle();
  const PickleCall& inner = pickle.calls[from.value(0).slot];
  const PickleValue& callable = pickle.values[inner.callable];
  const bool encodes = callable.kind == PickleKind::kGlobal &&
                       pickle.globals[callable.slot] == GlobalName{"_codecs", "encode"};
  const Arguments inner_arguments(pickle, inner, from.budget());
  // Two arguments only, so that this goes no deeper.
  if (!encodes || inner_arguments.count() != 2) return std::nullopt;
  return bytes_text(inner_arguments);
}

std::optional<std::string> complex_text(const Arguments& from) {
  std::string text;
  if (from.count() != 2) return std::nullopt;
  for (std::size_t i = 0; i < 2; ++i) {
    const PickleValue& part = from.value(i);
    if (part.kind != PickleKind::kFloat) return std::nullopt;
    char bytes[sizeof part.real];
    std::memcpy(bytes, &part.real, sizeof bytes);
    text.append(bytes, sizeof bytes);
  }
  return text;
}

std::optional<std::string> device_text(const Arguments& from) {
  if (from.count() == 0 || from.count() > 2 || !from.is(0, PickleKind::kStr)) return std::nullopt;
  if (from.count() == 1) return std::string(from.text(0));
  if (!from.is(1, PickleKind::kInt)) return std::nullopt;
  return concat(from.text(0), ":", from.value(1).integer);
}

}  // namespace

std::optional<std::string> text_of_call(const Pickle& pickle,
                                        const PickleCall& call,
                                        ValueKind kind,
                                        Budget& budget) {
  const Arguments arguments(pickle, call, budget);
  switch (kind) {
    case ValueKind::kBytes:
    case ValueKind::kByteArray: return bytes_text(arguments);
    case ValueKind::kComplex: return complex_text(arguments);
    case ValueKind::kDevice: return device_text(arguments);
    default: return std::nullopt;
  }
}

}  // namespace weightmap::checkpoint
