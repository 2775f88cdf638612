// SPDX-License-Identifier: Apache-2.0
// The opcodes and what stands after them in the bytes; what they do is pickle_machine.h's.
#include "checkpoint/pickle.h"

#include <array>
#include <bit>
#include <charconv>
#include <concepts>
#include <string>
#include <utility>

#include "base/text.h"
#include "checkpoint/byte_reader.h"
#include "checkpoint/pickle_machine.h"

namespace weightmap::checkpoint {
namespace {

constexpr int kLastProtocol = 5;

std::string hex_byte(unsigned char byte) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  return {'0', 'x', kDigits[byte >> 4U], kDigits[byte & 15U]};
}

// Protocol 1 writes False as I00 and True as I01.
void push_decimal(PickleMachine& machine, std::string_view digits) {
  if (digits == "00" || digits == "01") return machine.push_bool(digits == "01");
  std::int64_t value = 0;
  const char* end = digits.data() + digits.size();
  const auto [rest, problem] = std::from_chars(digits.data(), end, value);
  if (problem == std::errc() && rest == end) return machine.push_integer(value);
  machine.fail(ErrorCode::kCorrupt, quoted(digits), " is not an integer of 64 bits");
}

class Decoder {
 public:
  Decoder(std::span<const std::byte> bytes, const CheckGlobal& check_global)
      : reader_(bytes), machine_(bytes, check_global) {}

  Result<Pickle> decode();
  bool is_cut_short() const { return is_cut_short_ || reader_.ran_out(); }

 private:
  using Handler = void (Decoder::*)();
  struct Opcode {
    unsigned char code;
    std::string_view name;
    Handler run;
  };
  static const Opcode kOpcodes[];
  static const std::array<const Opcode*, 256>& opcodes_by_code();

  bool has_failed() const { return reader_.has_failed() || machine_.failure().has_value(); }
  Error failure(std::size_t opcode_at) const;

  template <void (PickleMachine::*action)()>
  void run() {
    (machine_.*action)();
  }
  template <bool value>
  void boolean() {
    machine_.push_bool(value);
  }
  template <std::integral T>
  void integer() {
    machine_.push_integer(reader_.number<T>());
  }
  template <std::integral Size>
  void long_integer() {
    machine_.push_long(reader_.counted<Size>());
  }
  void text_integer() { push_decimal(machine_, reader_.text(reader_.line())); }
  void real() {
    const std::uint64_t bits = __builtin_bswap64(reader_.number<std::uint64_t>());
    machine_.push_real(std::bit_cast<double>(bits));
  }
  template <std::integral Size>
  void text() {
    machine_.push_text(reader_.counted<Size>());
  }
  template <std::integral Size>
  void python2_text() {
    machine_.push_python2_text(reader_.counted<Size>());
  }
  template <std::integral Size, PickleKind kind>
  void raw() {
    machine_.push_bytes(kind, reader_.counted<Size>());
  }

  template <PickleKind kind>
  void empty() {
    machine_.push_empty(kind);
  }
  template <std::size_t count>
  void tuple() {
    machine_.make_tuple(count);
  }
  template <PickleKind kind>
  void from_mark() {
    machine_.make_from_mark(kind);
  }
  template <PickleKind kind, std::size_t count>
  void extend() {
    machine_.extend(kind, count);
  }
  template <PickleKind kind>
  void extend_from_mark() {
    machine_.extend_from_mark(kind);
  }

  GlobalName global_name() {
    const std::string_view module = reader_.text(reader_.line());
    return {module, reader_.text(reader_.line())};
  }
  void global() { machine_.push_global(global_name()); }
  void marked_call() { machine_.call_from_mark(); }
  void named_call() { machine_.call_from_mark(global_name()); }

  template <std::unsigned_integral Number>
  void put() {
    machine_.remember(reader_.number<Number>());
  }
  template <std::unsigned_integral Number>
  void get() {
    machine_.recall(reader_.number<Number>());
  }

  void protocol() {
    const auto version = reader_.number<std::uint8_t>();
    if (version > kLastProtocol) {
      machine_.fail(ErrorCode::kUnsupported, "protocol ", version, ", known are those to ",
                    kLastProtocol);
    }
  }
  // Frames only help readers that buffer; their length is checked, their end is not.
  void frame() {
    const auto size = reader_.number<std::uint64_t>();
    if (size > reader_.remaining()) {
      is_cut_short_ = true;
      machine_.fail(ErrorCode::kCorrupt, "a frame of ", size, " bytes, ", reader_.remaining(),
                    " remain");
    }
  }
  void stop() {
    machine_.finish();
    stopped_ = true;
  }

  void protocol_0() {
    machine_.fail(ErrorCode::kUnsupported,
                  "belongs to protocol 0, which no version of torch.save writes");
  }
  void extension() {
    machine_.fail(ErrorCode::kUnsupported,
                  "names a class by a number whose meaning the file does not hold");
  }
  void outside_buffer() {
    machine_.fail(ErrorCode::kUnsupported, "refers to a buffer that the file does not hold");
  }

  ByteReader reader_;
  PickleMachine machine_;
  bool stopped_ = false;
  bool is_cut_short_ = false;
  std::uint64_t steps_ = 0;
};

Result<Pickle> Decoder::decode() {
  while (!stopped_) {
    const std::size_t opcode_at = reader_.position();
    if (reader_.remaining() == 0) {
      is_cut_short_ = true;
      return Error(ErrorCode::kCorrupt, concat("ends at byte ", opcode_at, " without STOP"));
    }
    const Opcode* opcode = opcodes_by_code()[reader_.number<std::uint8_t>()];
    if (opcode == nullptr) {
      machine_.fail(ErrorCode::kCorrupt, "there is no such opcode");
    } else {
      (this->*opcode->run)();
    }
    ++steps_;
    if (has_failed()) return failure(opcode_at);
  }
  Pickle pickle = std::move(machine_).result();
  pickle.steps = steps_;
  pickle.bytes = pickle.bytes.first(reader_.position());
  return pickle;
}

// What the reader missed came before what the machine made of it.
Error Decoder::failure(std::size_t opcode_at) const {
  const auto code = std::to_integer<unsigned char>(reader_.bytes()[opcode_at]);
  const Opcode* opcode = opcodes_by_code()[code];
  const std::string name = opcode == nullptr ? "" : concat(" (", opcode->name, ")");
  const std::string place = concat("opcode ", hex_byte(code), name, " at byte ", opcode_at);
  return reader_.has_failed() ? Error(ErrorCode::kCorrupt, concat(place, ": ", reader_.problem()))
                              : machine_.failure()->with_context(place);
}

// By protocol: pickletools.py of Python 3.13.
constexpr Decoder::Opcode Decoder::kOpcodes[] = {
    {'(', "MARK", &Decoder::run<&PickleMachine::mark>},
    {'.', "STOP", &Decoder::stop},
    {'0', "POP", &Decoder::run<&PickleMachine::pop>},
    {'1', "POP_MARK", &Decoder::run<&PickleMachine::pop_to_mark>},
    {'2', "DUP", &Decoder::run<&PickleMachine::duplicate>},
    {'I', "INT", &Decoder::text_integer},
    {'N', "NONE", &Decoder::run<&PickleMachine::push_none>},
    {'R', "REDUCE", &Decoder::run<&PickleMachine::call>},
    {'a', "APPEND", &Decoder::extend<PickleKind::kList, 1>},
    {'b', "BUILD", &Decoder::run<&PickleMachine::build>},
    {'c', "GLOBAL", &Decoder::global},
    {'i', "INST", &Decoder::named_call},
    {'s', "SETITEM", &Decoder::extend<PickleKind::kDict, 2>},
    {'t', "TUPLE", &Decoder::from_mark<PickleKind::kTuple>},
    {'F', "FLOAT", &Decoder::protocol_0},
    {'L', "LONG", &Decoder::protocol_0},
    {'P', "PERSID", &Decoder::protocol_0},
    {'S', "STRING", &Decoder::protocol_0},
    {'V', "UNICODE", &Decoder::protocol_0},
    {'d', "DICT", &Decoder::protocol_0},
    {'g', "GET", &Decoder::protocol_0},
    {'l', "LIST", &Decoder::protocol_0},
    {'p', "PUT", &Decoder::protocol_0},

    {')', "EMPTY_TUPLE", &Decoder::run<&PickleMachine::push_empty_tuple>},
    {'G', "BINFLOAT", &Decoder::real},
    {'J', "BININT", &Decoder::integer<std::int32_t>},
    {'K', "BININT1", &Decoder::integer<std::uint8_t>},
    {'M', "BININT2", &Decoder::integer<std::uint16_t>},
    {'Q', "BINPERSID", &Decoder::run<&PickleMachine::push_persistent>},
    {'T', "BINSTRING", &Decoder::python2_text<std::int32_t>},
    {'U', "SHORT_BINSTRING", &Decoder::python2_text<std::uint8_t>},
    {'X', "BINUNICODE", &Decoder::text<std::uint32_t>},
    {']', "EMPTY_LIST", &Decoder::empty<PickleKind::kList>},
    {'e', "APPENDS", &Decoder::extend_from_mark<PickleKind::kList>},
    {'h', "BINGET", &Decoder::get<std::uint8_t>},
    {'j', "LONG_BINGET", &Decoder::get<std::uint32_t>},
    {'o', "OBJ", &Decoder::marked_call},
    {'q', "BINPUT", &Decoder::put<std::uint8_t>},
    {'r', "LONG_BINPUT", &Decoder::put<std::uint32_t>},
    {'u', "SETITEMS", &Decoder::extend_from_mark<PickleKind::kDict>},
    {'}', "EMPTY_DICT", &Decoder::empty<PickleKind::kDict>},

    {0x80, "PROTO", &Decoder::protocol},
    {0x81, "NEWOBJ", &Decoder::run<&PickleMachine::call>},
    {0x82, "EXT1", &Decoder::extension},
    {0x83, "EXT2", &Decoder::extension},
    {0x84, "EXT4", &Decoder::extension},
    {0x85, "TUPLE1", &Decoder::tuple<1>},
    {0x86, "TUPLE2", &Decoder::tuple<2>},
    {0x87, "TUPLE3", &Decoder::tuple<3>},
    {0x88, "NEWTRUE", &Decoder::boolean<true>},
    {0x89, "NEWFALSE", &Decoder::boolean<false>},
    {0x8A, "LONG1", &Decoder::long_integer<std::uint8_t>},
    {0x8B, "LONG4", &Decoder::long_integer<std::int32_t>},

    {'B', "BINBYTES", &Decoder::raw<std::uint32_t, PickleKind::kBytes>},
    {'C', "SHORT_BINBYTES", &Decoder::raw<std::uint8_t, PickleKind::kBytes>},

    {0x8C, "SHORT_BINUNICODE", &Decoder::text<std::uint8_t>},
    {0x8D, "BINUNICODE8", &Decoder::text<std::uint64_t>},
    {0x8E, "BINBYTES8", &Decoder::raw<std::uint64_t, PickleKind::kBytes>},
    {0x8F, "EMPTY_SET", &Decoder::empty<PickleKind::kSet>},
    {0x90, "ADDITEMS", &Decoder::extend_from_mark<PickleKind::kSet>},
    {0x91, "FROZENSET", &Decoder::from_mark<PickleKind::kFrozenSet>},
    {0x92, "NEWOBJ_EX", &Decoder::run<&PickleMachine::call_with_keywords>},
    {0x93, "STACK_GLOBAL", &Decoder::run<&PickleMachine::push_global_of_stack>},
    {0x94, "MEMOIZE", &Decoder::run<&PickleMachine::remember_next>},
    {0x95, "FRAME", &Decoder::frame},

    {0x96, "BYTEARRAY8", &Decoder::raw<std::uint64_t, PickleKind::kByteArray>},
    {0x97, "NEXT_BUFFER", &Decoder::outside_buffer},
    {0x98, "READONLY_BUFFER", &Decoder::outside_buffer},
};

const std::array<const Decoder::Opcode*, 256>& Decoder::opcodes_by_code() {
  static constexpr auto kByCode = [] {
    std::array<const Opcode*, 256> table{};
    for (const Opcode& opcode : kOpcodes)
      table[opcode.code] = &opcode;
    return table;
  }();
  return kByCode;
}

}  // namespace

std::string_view Pickle::text(const PickleValue& value) const {
  return {reinterpret_cast<const char*>(bytes.data()) + value.range.begin, value.range.size};
}

Result<Pickle> decode_pickle(std::span<const std::byte> bytes,
                             const CheckGlobal& check_global,
                             bool* is_cut_short) {
  Decoder decoder(bytes, check_global);
  auto pickle = decoder.decode();
  if (is_cut_short != nullptr) *is_cut_short = !pickle && decoder.is_cut_short();
  return pickle;
}

}  // namespace weightmap::checkpoint
