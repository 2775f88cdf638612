// SPDX-License-Identifier: Apache-2.0
#include "spec.h"

#include <limits>
#include <set>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "terminal.h"

namespace weightmap::tool {
namespace {

Error corrupt(std::string message) {
  return {ErrorCode::kCorrupt, std::move(message)};
}

// As it may stand in a message.
std::string shown(std::string_view text) {
  constexpr std::size_t kMost = 100;
  return cut_end(printable(text.substr(0, kMost)), kMost);
}

// Reads {"format": "weightmap spec 1", "keys": [{"name": ..., "dtype": ..., "shape": [...]}]},
// event by event. Fields that it does not know are an error: a misspelled one would check nothing.
class SpecReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::optional<Error> error() const { return error_; }
  std::vector<SpecKey> keys() && { return std::move(keys_); }
  bool has_format() const { return has_format_; }
  bool has_keys() const { return has_keys_; }

  bool null() override {
    const bool is_unknown = place_ == Place::kKey && (field_ == "dtype" || field_ == "shape");
    return is_unknown || refuse("null");
  }
  bool boolean(bool) override { return refuse("true or false"); }
  bool number_integer(number_integer_t) override { return refuse("a negative number"); }
  // Also of a whole number that no integer holds.
  bool number_float(number_float_t, const string_t& text) override {
    const bool is_whole = text.find_first_of(".eE") == std::string::npos;
    return refuse(is_whole ? "a number so large" : "a fraction");
  }
  bool binary(binary_t&) override { return refuse("bytes"); }

  bool number_unsigned(number_unsigned_t number) override {
    constexpr auto kMost = static_cast<number_unsigned_t>(std::numeric_limits<std::int64_t>::max());
    if (place_ != Place::kShape || number > kMost) return refuse("a number");
    keys_.back().shape->push_back(static_cast<std::int64_t>(number));
    return true;
  }

  bool string(string_t& text) override {
    if (place_ == Place::kTop && field_ == "format") {
      has_format_ = text == kSpecFormat;
      return has_format_ ||
             fail(fmt::format("its format is `{}` vs `{}`", shown(text), kSpecFormat));
    }
    if (place_ == Place::kKey && field_ == "name") {
      keys_.back().name = text;
      return !text.empty() || fail(where() + ": its name is empty");
    }
    if (place_ == Place::kKey && field_ == "dtype") {
      keys_.back().dtype = dtype_from_name(text);
      return keys_.back().dtype || fail(fmt::format("{}: `{}` is no dtype", where(), shown(text)));
    }
    return refuse("a string");
  }

  bool key(string_t& name) override {
    field_ = name;
    if (!fields().insert(name).second) {
      return fail(fmt::format("{}: has the field `{}` twice", where(), shown(name)));
    }
    const bool is_top = place_ == Place::kTop && (name == "format" || name == "keys");
    const bool is_of_key =
        place_ == Place::kKey && (name == "name" || name == "dtype" || name == "shape");
    return is_top || is_of_key ||
           fail(fmt::format("{}: the field `{}` is not known", where(), shown(name)));
  }

  bool start_object(std::size_t) override {
    if (place_ == Place::kOutside) {
      place_ = Place::kTop;
    } else if (place_ == Place::kKeys) {
      place_ = Place::kKey;
      keys_.emplace_back();
      key_fields_.clear();
    } else {
      return refuse("an object");
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::kKey && keys_.back().name.empty()) return fail(where() + ": has no name");
    place_ = place_ == Place::kKey ? Place::kKeys : Place::kOutside;
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ == Place::kTop && field_ == "keys") {
      place_ = Place::kKeys;
      has_keys_ = true;
    } else if (place_ == Place::kKey && field_ == "shape") {
      place_ = Place::kShape;
      keys_.back().shape.emplace();
    } else {
      return refuse("an array");
    }
    return true;
  }

  bool end_array() override {
    place_ = place_ == Place::kShape ? Place::kKey : Place::kTop;
    return true;
  }

  bool parse_error(std::size_t position,
                   const std::string&,
                   const nlohmann::json::exception&) override {
    return fail(fmt::format("is no JSON from byte {} on", position));
  }

 private:
  enum class Place : std::uint8_t { kOutside, kTop, kKeys, kKey, kShape };

  std::set<std::string>& fields() { return place_ == Place::kKey ? key_fields_ : top_fields_; }

  std::string where() const {
    if (place_ != Place::kKey && place_ != Place::kShape) return "spec";
    return fmt::format("key {}", keys_.size());
  }

  bool fail(std::string message) {
    if (!error_) error_ = corrupt(std::move(message));
    return false;
  }

  bool refuse(const char* what) {
    return fail(fmt::format("{}: {} is not what `{}` takes", where(), what, field_));
  }

  std::vector<SpecKey> keys_;
  std::string field_;
  std::set<std::string> top_fields_;  // that were met
  std::set<std::string> key_fields_;  // of the present key
  Place place_ = Place::kOutside;
  bool has_format_ = false;
  bool has_keys_ = false;
  std::optional<Error> error_;
};

Result<std::vector<SpecKey>> checked(std::vector<SpecKey> keys) {
  std::unordered_set<std::string_view> names;
  for (const SpecKey& key : keys) {
    if (!names.insert(key.name).second) {
      return corrupt(fmt::format("has the name `{}` twice", shown(key.name)));
    }
  }
  return keys;
}

}  // namespace

Result<std::vector<SpecKey>> parse_spec(std::string_view text) {
  SpecReader reader;
  const bool is_read = nlohmann::json::sax_parse(text.begin(), text.end(), &reader);
  if (const auto error = reader.error()) return *error;
  if (!is_read || !reader.has_keys()) return corrupt("spec: has no `keys`");
  if (!reader.has_format()) return corrupt("spec: has no `format`");
  return checked(std::move(reader).keys());
}

Result<std::vector<SpecKey>> parse_names(std::string_view text) {
  std::vector<SpecKey> keys;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty() && !line.starts_with('#')) keys.push_back({.name = std::string(line)});
  }
  return checked(std::move(keys));
}

}  // namespace weightmap::tool
