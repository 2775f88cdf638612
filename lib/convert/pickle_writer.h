// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

namespace weightmap::convert {

// Writes the opcodes of a pickle of protocol 2, the one that torch.save uses and that
// torch.load(weights_only=True) takes. What is pushed in what order is the caller's business.
// Not safe for use from several threads.
class PickleWriter {
 public:
  using MemoId = std::uint32_t;

  PickleWriter();

  // Each pushes one value.
  void none() { op('N'); }
  void boolean(bool value) { op(value ? '\x88' : '\x89'); }
  void integer(std::int64_t value);
  void big_integer(std::string_view little_endian);  // two's complement
  void real(double value);
  void text(std::string_view utf8);  // REQUIRES: less than 4 GiB
  void bytes(std::string_view bytes);
  void global(std::string_view module, std::string_view name);
  void empty_tuple() { op(')'); }
  void empty_list() { op(']'); }
  void empty_dict() { op('}'); }

  // The same text or class again costs two bytes.
  void remembered_text(std::string_view utf8);

  void mark() { op('('); }
  void tuple() { op('t'); }  // of what was pushed since the mark
  void tuple_of_1() { op('\x85'); }
  void tuple_of_2() { op('\x86'); }
  void append() { op('a'); }
  void appends() { op('e'); }
  void set_item() { op('s'); }
  void set_items() { op('u'); }
  void reduce() { op('R'); }
  void new_object() { op('\x81'); }
  void build() { op('b'); }
  void persistent_id() { op('Q'); }
  void integers(std::span<const std::int64_t> values);  // a tuple of them

  // Names the value on top, for get().
  MemoId put();
  void get(MemoId id);

  // The whole pickle. The writer is spent.
  std::string finish();

 private:
  void op(char code) { pickle_ += code; }
  void little(std::uint64_t value, int size_bytes);

  std::string pickle_;
  std::unordered_map<std::string, MemoId> globals_;
  std::unordered_map<std::string, MemoId> texts_;
  MemoId next_memo_ = 0;
};

}  // namespace weightmap::convert
