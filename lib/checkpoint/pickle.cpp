// SPDX-License-Identifier: Apache-2.0
// The opcodes and what stands after them in the bytes; what they do is pickle_machine.h's.
#include "checkpoint/pickle.h"

#include <array>
#include <bit>
#include <charconv>
#include <concepts>
#include <optional>
#include <string>
#include <utility>

#include "base/text.h"
#include "checkpoint/byte_reader.h"
#include "checkpoint/pickle_machine.h"
#include "checkpoint/pickle_text.h"

namespace weightmap::checkpoint {
namespace {

constexpr int kLastProtocol = 5;

std::string hex_byte(unsigned char byte) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  return {'0', 'x', kDigits[byte >> 4U], kDigits[byte & 15U]};
}

// A number that all of the line is.
template <typename T>
std::optional<T> number_of(std::string_view line) {
  T value{};
  const char* end = line.data() + line.size();
  const auto [rest, problem] = std::from_chars(line.data(), end, value);
  return problem == std::errc() && rest == end ? std::optional(value) : std::nullopt;
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
  std::string_view line() { return reader_.text(reader_.line()); }
  // Protocols 0 and 1 write False as I00 and True as I01.
  void text_integer() {
    const std::string_view digits = line();
    if (digits == "00" || digits == "01") return machine_.push_bool(digits == "01");
    decimal(digits);
  }
  void text_long() {
    std::string_view digits = line();
    if (digits.ends_with('L')) digits.remove_suffix(1);
    decimal(digits);
  }
  void decimal(std::string_view digits) {
    if (const auto value = number_of<std::int64_t>(digits)) return machine_.push_integer(*value);
    if (const auto range = stored(digits, from_decimal(digits))) machine_.push_long(*range);
  }
  void text_real() {
    const std::string_view digits = line();
    const auto value = number_of<double>(digits);
    if (!value) return wrong_line(digits);
    machine_.push_real(*value);
  }
  void text_unicode() {
    const std::string_view escaped = line();
    if (const auto range = stored(escaped, from_raw_unicode(escaped))) machine_.push_text(*range);
  }
  void text_string() {
    const std::string_view escaped = line();
    const auto range = stored(escaped, from_python2_repr(escaped));
    if (range) machine_.push_python2_text(*range);
  }
  std::optional<PickleRange> stored(std::string_view from, const std::optional<std::string>& text) {
    if (text) return machine_.store_text(*text);
    wrong_line(from);
    return std::nullopt;
  }
  void wrong_line(std::string_view line) {
    constexpr std::size_t kShown = 60;
    machine_.fail(ErrorCode::kCorrupt, quoted(line.substr(0, kShown)), " is no value of its kind");
  }
  template <void (PickleMachine::*action)(std::uint32_t)>
  void text_memo() {
    const std::string_view digits = line();
    const auto number = number_of<std::uint32_t>(digits);
    if (!number) return wrong_line(digits);
    (machine_.*action)(*number);
  }
  template <PickleKind kind>
  void growing_from_mark() {
    machine_.make_growing_from_mark(kind);
  }
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

  void text_persistent() {
    machine_.fail(ErrorCode::kUnsupported,
                  "a persistent id as text, of which no version of torch.load finds the storage");
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
    {'F', "FLOAT", &Decoder::text_real},
    {'L', "LONG", &Decoder::text_long},
    {'P', "PERSID", &Decoder::text_persistent},
    {'S', "STRING", &Decoder::text_string},
    {'V', "UNICODE", &Decoder::text_unicode},
    {'d', "DICT", &Decoder::growing_from_mark<PickleKind::kDict>},
    {'g', "GET", &Decoder::text_memo<&PickleMachine::recall>},
    {'l', "LIST", &Decoder::growing_from_mark<PickleKind::kList>},
    {'p', "PUT", &Decoder::text_memo<&PickleMachine::remember>},

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
  const PickleRange& range = value.range;
  if (range.begin >= bytes.size()) {
    return {decoded.data() + (range.begin - bytes.size()), range.size};
  }
  return {reinterpret_cast<const char*>(bytes.data()) + range.begin, range.size};
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
