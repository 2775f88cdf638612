// SPDX-License-Identifier: Apache-2.0
// What the pickles of plain Python and numpy objects hold, in Python's words. Anything may stand
// where a class expects something else: then the object is shown by its class alone.
#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <type_traits>

#include "value.h"

namespace weightmap::tool {
namespace {

constexpr std::size_t kLongest = 100;  // columns of one value
constexpr std::int64_t kSecondsOfDay = 86400;

class Object {
 public:
  Object(const Listing& listing, std::uint32_t node)
      : listing_(listing), graph_(listing.values), node_(node) {
    const auto parts = graph_.items(node);
    arguments_ = graph_.items(parts[0]);
    state_ = parts[2];
  }

  std::string text() const {
    std::optional<std::string> known;
    for (const Row& row : kRows) {
      if (name().ends_with(row.suffix)) known = (this->*row.text)();
      if (known) return cut_end(*known, kLongest);
    }
    return printable(name());
  }

 private:
  struct Row {
    std::string_view suffix;  // of the class's name
    std::optional<std::string> (Object::*text)() const;
  };
  static const std::array<Row, 15> kRows;

  std::string name() const { return qualified_name(graph_.text(node_)); }
  std::string class_name() const {
    const std::string full = name();
    return full.substr(full.rfind('.') + 1);
  }
  ValueKind kind(std::uint32_t node) const { return graph_.node(node).kind; }
  bool has(std::size_t i, ValueKind wanted) const {
    return i < arguments_.size() && kind(arguments_[i]) == wanted;
  }
  std::string_view argument_text(std::size_t i) const { return graph_.text(arguments_[i]); }
  std::int64_t argument(std::size_t i) const { return graph_.integer(arguments_[i]); }
  unsigned byte(std::size_t i) const { return static_cast<unsigned char>(argument_text(0)[i]); }
  bool has_bytes(std::size_t count) const {
    return has(0, ValueKind::kBytes) && argument_text(0).size() == count;
  }

  std::optional<std::string> fields() const;
  std::optional<std::string> file_path() const;
  std::optional<std::string> date() const;
  std::optional<std::string> date_time() const;
  std::optional<std::string> time() const { return has_bytes(6) ? clock(0) : std::nullopt; }
  std::optional<std::string> time_delta() const;
  std::optional<std::string> time_zone() const;
  std::optional<std::string> unique_id() const;
  std::optional<std::string> decimal() const;
  std::optional<std::string> fraction() const;
  std::optional<std::string> number_type() const;
  std::optional<std::string> scalar() const;
  std::optional<std::string> array() const;
  std::optional<std::string> array_of_buffer() const;
  std::optional<std::string> layout() const;

  std::optional<std::string> clock(std::size_t begin) const;
  std::string with_zone(std::string text) const;
  std::optional<std::string> array_text(std::uint32_t type, std::uint32_t shape) const;
  std::optional<std::string> type_of(std::uint32_t node) const;
  bool is_big_endian(std::uint32_t type) const;

  const Listing& listing_;
  const ValueGraph& graph_;
  std::uint32_t node_;
  std::span<const std::uint32_t> arguments_;
  std::uint32_t state_ = 0;
};

const std::array<Object::Row, 15> Object::kRows{{
    {"Namespace", &Object::fields},
    {"Path", &Object::file_path},
    {"datetime.date", &Object::date},
    {"datetime.datetime", &Object::date_time},
    {"datetime.time", &Object::time},
    {"datetime.timedelta", &Object::time_delta},
    {"datetime.timezone", &Object::time_zone},
    {"uuid.UUID", &Object::unique_id},
    {"decimal.Decimal", &Object::decimal},
    {"fractions.Fraction", &Object::fraction},
    {"numpy.dtype", &Object::number_type},
    {"multiarray.scalar", &Object::scalar},
    {"multiarray._reconstruct", &Object::array},
    {"numeric._frombuffer", &Object::array_of_buffer},
    {"_get_layout", &Object::layout},
}};

// Objects inside are not unfolded again: they may be shared many times over.
std::optional<std::string> Object::fields() const {
  if (kind(state_) != ValueKind::kDict) return std::nullopt;
  const auto items = graph_.items(state_);
  std::string text = class_name() + "(";
  for (std::size_t i = 0; i + 1 < items.size() && text.size() <= kLongest; i += 2) {
    const bool is_nested = kind(items[i + 1]) == ValueKind::kObject;
    text += (i > 0 ? ", " : "") + printable(graph_.text(items[i])) + "=";
    text += is_nested ? printable(qualified_name(graph_.text(items[i + 1])))
                      : value_text(listing_, items[i + 1]);
  }
  return text + ")";
}

std::optional<std::string> Object::file_path() const {
  std::string path;
  const char separator = name().find("Windows") == std::string::npos ? '/' : '\\';
  for (std::size_t i = 0; i < arguments_.size() && path.size() <= kLongest; ++i) {
    if (!has(i, ValueKind::kStr)) return std::nullopt;
    if (!path.empty() && path.back() != separator) path += separator;
    path += argument_text(i).substr(0, kLongest + 1);
  }
  return fmt::format("{}('{}')", class_name(), printable(path.empty() ? "." : path));
}

std::optional<std::string> Object::date() const {
  if (!has_bytes(4)) return std::nullopt;
  return fmt::format("{:04}-{:02}-{:02}", byte(0) * 256 + byte(1), byte(2), byte(3));
}

// The month's upper bit says which of two equal hours it is, when clocks are set back.
std::optional<std::string> Object::date_time() const {
  if (!has_bytes(10)) return std::nullopt;
  return with_zone(fmt::format("{:04}-{:02}-{:02} {}", byte(0) * 256 + byte(1), byte(2) & 127U,
                               byte(3), *clock(4)));
}

std::optional<std::string> Object::clock(std::size_t begin) const {
  const unsigned micros = byte(begin + 3) * 65536 + byte(begin + 4) * 256 + byte(begin + 5);
  std::string text =
      fmt::format("{:02}:{:02}:{:02}", byte(begin) & 127U, byte(begin + 1), byte(begin + 2));
  if (micros > 0) text += fmt::format(".{:06}", micros);
  return text;
}

std::string Object::with_zone(std::string text) const {
  if (!has(1, ValueKind::kObject)) return text;
  return text + " " + Object(listing_, arguments_[1]).time_zone().value_or("");
}

std::optional<std::string> Object::time_delta() const {
  for (std::size_t i = 0; i < 3; ++i) {
    if (!has(i, ValueKind::kInt)) return std::nullopt;
  }
  return fmt::format("timedelta(days={}, seconds={}, microseconds={})", argument(0), argument(1),
                     argument(2));
}

std::optional<std::string> Object::time_zone() const {
  if (!has(0, ValueKind::kObject)) return std::nullopt;
  const Object offset(listing_, arguments_[0]);
  if (!offset.has(0, ValueKind::kInt) || !offset.has(1, ValueKind::kInt)) return std::nullopt;
  const std::int64_t days = offset.argument(0);
  const std::int64_t seconds = offset.argument(1);
  if (days < -1 || days > 0 || seconds < 0 || seconds >= kSecondsOfDay) return std::nullopt;
  const std::int64_t from_utc = days * kSecondsOfDay + seconds;
  const std::int64_t minutes = (from_utc < 0 ? -from_utc : from_utc) / 60;
  return fmt::format("UTC{}{:02}:{:02}", from_utc < 0 ? '-' : '+', minutes / 60, minutes % 60);
}

// Its state is {'int': ...}: 128 bits.
std::optional<std::string> Object::unique_id() const {
  if (kind(state_) != ValueKind::kDict) return std::nullopt;
  const auto items = graph_.items(state_);
  if (items.size() < 2 || graph_.text(items[0]) != "int") return std::nullopt;
  std::array<unsigned char, 17> bytes{};
  if (kind(items[1]) == ValueKind::kInt) {
    const std::int64_t value = graph_.integer(items[1]);
    std::memcpy(bytes.data(), &value, sizeof value);
  } else if (const auto text = graph_.text(items[1]);
             kind(items[1]) == ValueKind::kBigInt && text.size() <= bytes.size()) {
    std::memcpy(bytes.data(), text.data(), text.size());
  } else {
    return std::nullopt;
  }
  std::string text = "UUID('";
  for (int i = 15; i >= 0; --i) {
    text += fmt::format("{:02x}", bytes[static_cast<std::size_t>(i)]);
    if (i == 12 || i == 10 || i == 8 || i == 6) text += '-';
  }
  return text + "')";
}

std::optional<std::string> Object::decimal() const {
  if (!has(0, ValueKind::kStr)) return std::nullopt;
  return fmt::format("Decimal('{}')", printable(argument_text(0).substr(0, kLongest)));
}

std::optional<std::string> Object::fraction() const {
  if (has(0, ValueKind::kStr)) {
    return fmt::format("Fraction({})", printable(argument_text(0).substr(0, kLongest)));
  }
  if (arguments_.size() != 2) return std::nullopt;
  return fmt::format("Fraction({}, {})", value_text(listing_, arguments_[0]),
                     value_text(listing_, arguments_[1]));
}

// Codes as numpy writes them: a letter and the size in bytes.
std::optional<std::string> Object::number_type() const {
  struct Code {
    std::string_view code, name;
  };
  constexpr auto kCodes = std::to_array<Code>({
      {"b1", "bool"},
      {"i1", "int8"},
      {"i2", "int16"},
      {"i4", "int32"},
      {"i8", "int64"},
      {"u1", "uint8"},
      {"u2", "uint16"},
      {"u4", "uint32"},
      {"u8", "uint64"},
      {"f2", "float16"},
      {"f4", "float32"},
      {"f8", "float64"},
      {"c8", "complex64"},
      {"c16", "complex128"},
      {"O8", "object"},
      {"M8", "datetime64"},
      {"m8", "timedelta64"},
  });
  if (!has(0, ValueKind::kStr)) return std::nullopt;
  const std::string_view code = argument_text(0);
  const auto* found = std::ranges::find(kCodes, code, &Code::code);
  const std::string_view name = found == kCodes.end() ? code.substr(0, kLongest) : found->name;
  return "numpy." + printable(name);
}

std::optional<std::string> Object::type_of(std::uint32_t node) const {
  if (kind(node) != ValueKind::kObject) return std::nullopt;
  const Object type(listing_, node);
  return type.name() == "numpy.dtype" ? type.number_type() : std::nullopt;
}

// The state of a dtype is (version, byte order, ...).
bool Object::is_big_endian(std::uint32_t type) const {
  const std::uint32_t state = graph_.items(type)[2];
  if (kind(state) != ValueKind::kTuple) return false;
  const auto parts = graph_.items(state);
  return parts.size() > 1 && graph_.text(parts[1]) == ">";
}

template <typename T>
std::string number_text(std::string_view bytes) {
  T value{};
  if (bytes.size() != sizeof value) return "?";
  std::memcpy(&value, bytes.data(), sizeof value);
  const std::string text = fmt::format("{}", value);
  const bool looks_whole = text.find_first_of(".en") == std::string::npos;
  return std::is_floating_point_v<T> && looks_whole ? text + ".0" : text;
}

std::optional<std::string> number_text(std::string_view type, std::string_view bytes) {
  struct Reader {
    std::string_view type;
    std::string (*read)(std::string_view bytes);
  };
  constexpr auto kReaders = std::to_array<Reader>({
      {"numpy.int8", number_text<std::int8_t>},
      {"numpy.int16", number_text<std::int16_t>},
      {"numpy.int32", number_text<std::int32_t>},
      {"numpy.int64", number_text<std::int64_t>},
      {"numpy.uint8", number_text<std::uint8_t>},
      {"numpy.uint16", number_text<std::uint16_t>},
      {"numpy.uint32", number_text<std::uint32_t>},
      {"numpy.uint64", number_text<std::uint64_t>},
      {"numpy.float32", number_text<float>},
      {"numpy.float64", number_text<double>},
  });
  if (type == "numpy.bool" && bytes.size() == 1) return bytes[0] == 0 ? "False" : "True";
  const auto* found = std::ranges::find(kReaders, type, &Reader::type);
  return found == kReaders.end() ? std::nullopt : std::optional(found->read(bytes));
}

std::optional<std::string> Object::scalar() const {
  if (arguments_.size() != 2) return std::nullopt;
  const auto type = type_of(arguments_[0]);
  if (!type) return std::nullopt;
  std::string bytes(argument_text(1).substr(0, 32));
  if (is_big_endian(arguments_[0])) std::ranges::reverse(bytes);
  const auto value = number_text(*type, bytes);
  return value ? fmt::format("{} ({})", *value, *type) : fmt::format("a {}", *type);
}

// The state of an array is (version, shape, dtype, is_fortran, bytes).
std::optional<std::string> Object::array() const {
  if (kind(state_) != ValueKind::kTuple) return std::nullopt;
  const auto parts = graph_.items(state_);
  return parts.size() == 5 ? array_text(parts[2], parts[1]) : std::nullopt;
}

// (bytes, dtype, shape, order)
std::optional<std::string> Object::array_of_buffer() const {
  return arguments_.size() == 4 ? array_text(arguments_[1], arguments_[2]) : std::nullopt;
}

std::optional<std::string> Object::array_text(std::uint32_t type, std::uint32_t shape) const {
  const auto element = type_of(type);
  if (!element || kind(shape) != ValueKind::kTuple) return std::nullopt;
  std::string sizes;
  for (const std::uint32_t size :
       graph_.items(shape).first(std::min<std::size_t>(graph_.items(shape).size(), 65))) {
    sizes += (sizes.empty() ? "" : ", ") + std::to_string(graph_.integer(size));
  }
  return fmt::format("array of {}[{}]", *element, sizes);
}

std::optional<std::string> Object::layout() const {
  if (!has(0, ValueKind::kStr)) return std::nullopt;
  return printable(argument_text(0).substr(0, kLongest));
}

}  // namespace

std::string object_text(const Listing& listing, std::uint32_t number) {
  return Object(listing, number).text();
}

}  // namespace weightmap::tool
