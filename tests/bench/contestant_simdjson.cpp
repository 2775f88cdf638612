// SPDX-License-Identifier: Apache-2.0
// A reader of safetensors made for speed: the header parsed in place by simdjson, the names in a
// flat hash table, checked as the reference library does: known dtypes, no gap, no overlap, sizes
// by shape, no name twice.
#include <algorithm>
#include <array>
#include <bit>
#include <optional>
#include <simdjson.h>

#include <xxhash.h>

#include "contestant.h"

namespace weightmap::bench {
namespace {

constexpr std::size_t kMaxRank = 8;
constexpr std::size_t kLengthBytes = 8;

struct Described {
  std::string_view name;
  std::string_view dtype;
  std::array<std::uint64_t, kMaxRank> shape{};
  std::size_t rank = 0;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

// Open addressing, at most half full; what fills a place is a number and a part of the hash.
class NameTable {
 public:
  explicit NameTable(std::size_t count)
      : mask_(std::bit_ceil(count * 2 + 1) - 1), places_(mask_ + 1) {}

  // The number of the name, if it is there; the place for it, if not.
  template <typename NameOf>
  std::optional<std::uint32_t> find(std::string_view name, const NameOf& name_of) {
    const std::uint64_t hash = XXH3_64bits(name.data(), name.size());
    const auto part = static_cast<std::uint32_t>(hash >> 32U);
    for (last_ = hash & mask_; places_[last_].number != 0; last_ = (last_ + 1) & mask_) {
      const std::uint32_t number = places_[last_].number - 1;
      if (places_[last_].part == part && name_of(number) == name) return number;
    }
    last_part_ = part;
    return std::nullopt;
  }
  // After a find that found nothing.
  void add(std::uint32_t number) { places_[last_] = {number + 1, last_part_}; }

 private:
  struct Place {
    std::uint32_t number = 0;  // and one: 0 is empty
    std::uint32_t part = 0;
  };
  std::size_t mask_;
  std::vector<Place> places_;
  std::size_t last_ = 0;
  std::uint32_t last_part_ = 0;
};

std::uint64_t size_of_dtype(std::string_view dtype) {
  if (dtype == "F32" || dtype == "I32" || dtype == "U32") return 4;
  if (dtype == "BF16" || dtype == "F16" || dtype == "I16" || dtype == "U16") return 2;
  if (dtype == "F64" || dtype == "I64" || dtype == "U64") return 8;
  require(dtype == "U8" || dtype == "I8" || dtype == "BOOL", "simdjson: unknown dtype");
  return 1;
}

class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::string& path) : file_(path) {
    std::uint64_t length = 0;
    file_.read(0, &length, sizeof length);
    require(length < file_.size(), "simdjson: length of the header");
    const std::size_t capacity = length + simdjson::SIMDJSON_PADDING;
    text_ = std::make_unique_for_overwrite<char[]>(capacity);
    file_.read(kLengthBytes, text_.get(), length);
    data_begin_ = kLengthBytes + length;
    parse(length, capacity);
    check_places();
    fill_table();
  }

  const Described* find(std::string_view name) {
    const auto number = table_->find(name, [this](std::uint32_t n) { return tensors_[n].name; });
    return number ? &tensors_[*number] : nullptr;
  }
  const std::byte* data(const Described& tensor) const {
    return file_.data() + data_begin_ + tensor.begin;
  }

 private:
  void parse(std::size_t length, std::size_t capacity) {
    auto document = parser_.iterate(text_.get(), length, capacity);
    tensors_.reserve(length / 100);
    for (auto field : document.get_object()) {
      Described tensor{.name = field.unescaped_key()};
      if (tensor.name == "__metadata__") continue;
      for (auto part : field.value().get_object())
        read_part(part.unescaped_key(), part.value(), tensor);
      tensors_.push_back(tensor);
    }
  }

  static void read_part(std::string_view key, simdjson::ondemand::value value, Described& tensor) {
    if (key == "dtype") {
      tensor.dtype = value.get_string();
    } else if (key == "shape") {
      for (auto size : value.get_array()) {
        require(tensor.rank < kMaxRank, "simdjson: rank");
        tensor.shape[tensor.rank++] = size.get_uint64();
      }
    } else {
      require(key == "data_offsets", "simdjson: unknown key");
      auto offsets = value.get_array();
      auto offset = offsets.begin();
      tensor.begin = (*offset).get_uint64();
      ++offset;
      tensor.end = (*offset).get_uint64();
      ++offset;
    }
  }

  void check_places() const {
    std::uint64_t end = 0;
    for (const Described& tensor : tensors_) {
      std::uint64_t bytes = size_of_dtype(tensor.dtype);
      for (std::size_t i = 0; i < tensor.rank; ++i)
        require(!__builtin_mul_overflow(bytes, tensor.shape[i], &bytes), "simdjson: shape");
      require(tensor.begin == end && tensor.end - tensor.begin == bytes, "simdjson: place");
      end = tensor.end;
    }
    require(end == file_.size() - data_begin_, "simdjson: size of the file");
  }

  void fill_table() {
    table_.emplace(tensors_.size());
    for (std::uint32_t number = 0; number < tensors_.size(); ++number) {
      require(find(tensors_[number].name) == nullptr, "simdjson: a name twice");
      table_->add(number);
    }
  }

  InputFile file_;
  std::unique_ptr<char[]> text_;
  std::size_t data_begin_ = 0;
  simdjson::ondemand::parser parser_;
  std::vector<Described> tensors_;
  std::optional<NameTable> table_;
};

bool fits(const tests::SyntheticTensor& wanted, const Described& found) {
  return found.dtype == "F32" &&
         std::equal(wanted.shape.begin(), wanted.shape.end(), found.shape.begin(),
                    found.shape.begin() + found.rank, [](std::int64_t a, std::uint64_t b) {
                      return static_cast<std::uint64_t>(a) == b;
                    });
}

}  // namespace

Contestant simdjson_bind(const std::string& path, const tests::SyntheticModel& wanted) {
  const auto bound = std::make_shared<Bound>(wanted.size());
  const auto run = [path, bound, &wanted] {
    SafetensorsFile file(path);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const Described* const found = file.find(wanted[i].name);
      require(found != nullptr && fits(wanted[i], *found), "simdjson: bind");
      (*bound)[i] = file.data(*found);
    }
  };
  return {.name = "safetensors on simdjson", .run = run};
}

Contestant simdjson_find(const std::string& path, const tests::SyntheticModel& wanted) {
  const auto run = [file = std::make_shared<SafetensorsFile>(path), &wanted] {
    for (const tests::SyntheticTensor& tensor : wanted)
      require(file->find(tensor.name) != nullptr, "simdjson: find");
  };
  return {.name = "safetensors on simdjson", .run = run};
}

}  // namespace weightmap::bench
