// SPDX-License-Identifier: Apache-2.0
#include "convert/pickle_writer.h"

#include <bit>
#include <limits>

namespace weightmap::convert {
namespace {

constexpr char kProtocol2 = '\x02';
// From this one on, a name with dots is looked up attribute by attribute.
constexpr char kProtocol4 = '\x04';
constexpr std::size_t kProtocolPlace = 1;

// One character a byte, as the codec latin1 has it.
std::string from_latin1(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  for (const char byte : bytes) {
    const auto value = static_cast<unsigned char>(byte);
    if (value < 0x80) {
      text += byte;
    } else {
      text += static_cast<char>(0xC0U | value >> 6U);
      text += static_cast<char>(0x80U | (value & 0x3FU));
    }
  }
  return text;
}

}  // namespace

PickleWriter::PickleWriter() : pickle_{'\x80', kProtocol2} {}

void PickleWriter::integer(std::int64_t value) {
  if (value >= 0 && value <= 0xFF) {
    op('K');
    little(static_cast<std::uint64_t>(value), 1);
  } else if (value >= 0 && value <= 0xFFFF) {
    op('M');
    little(static_cast<std::uint64_t>(value), 2);
  } else if (value == static_cast<std::int32_t>(value)) {
    op('J');
    little(static_cast<std::uint64_t>(value), 4);
  } else {
    op('\x8a');
    little(sizeof value, 1);
    little(static_cast<std::uint64_t>(value), sizeof value);
  }
}

void PickleWriter::big_integer(std::string_view little_endian) {
  const bool is_short = little_endian.size() <= 0xFF;
  op(is_short ? '\x8a' : '\x8b');
  little(little_endian.size(), is_short ? 1 : 4);
  pickle_ += little_endian;
}

void PickleWriter::real(double value) {
  op('G');
  const auto bits = std::bit_cast<std::uint64_t>(value);
  for (int shift = 56; shift >= 0; shift -= 8)
    op(static_cast<char>(bits >> static_cast<unsigned>(shift)));
}

void PickleWriter::text(std::string_view utf8) {
  op('X');
  little(utf8.size(), 4);
  pickle_ += utf8;
}

void PickleWriter::bytes(std::string_view bytes) {
  global("_codecs", "encode");
  text(from_latin1(bytes));
  remembered_text("latin1");
  tuple_of_2();
  reduce();
}

void PickleWriter::global(std::string_view module, std::string_view name) {
  std::string key(module);
  key.append("\n").append(name).append("\n");
  const auto known = globals_.find(key);
  if (known != globals_.end()) return get(known->second);
  if (name.find('.') != std::string_view::npos) pickle_[kProtocolPlace] = kProtocol4;
  op('c');
  pickle_ += key;
  globals_.emplace(std::move(key), put());
}

void PickleWriter::remembered_text(std::string_view utf8) {
  const auto known = texts_.find(std::string(utf8));
  if (known != texts_.end()) return get(known->second);
  text(utf8);
  texts_.emplace(utf8, put());
}

void PickleWriter::integers(std::span<const std::int64_t> values) {
  if (values.empty()) return empty_tuple();
  mark();
  for (const std::int64_t value : values)
    integer(value);
  tuple();
}

PickleWriter::MemoId PickleWriter::put() {
  const bool is_short = next_memo_ <= 0xFF;
  op(is_short ? 'q' : 'r');
  little(next_memo_, is_short ? 1 : 4);
  return next_memo_++;
}

void PickleWriter::get(MemoId id) {
  const bool is_short = id <= 0xFF;
  op(is_short ? 'h' : 'j');
  little(id, is_short ? 1 : 4);
}

std::string PickleWriter::finish() {
  op('.');
  return std::move(pickle_);
}

void PickleWriter::little(std::uint64_t value, int size_bytes) {
  for (int i = 0; i < size_bytes; ++i) {
    op(static_cast<char>(value & 0xFFU));
    value >>= 8U;
  }
}

}  // namespace weightmap::convert
