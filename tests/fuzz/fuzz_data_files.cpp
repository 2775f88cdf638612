// SPDX-License-Identifier: Apache-2.0
// An input is the bytes of the file `data`, with their length in front, and what a weight file
// beside it says of its data files: of each the kind, which of size and identity are the true ones,
// the alignment, the name, what is not true, and up to three segments. It is signed and opened by
// its path in a directory with files, links and what is no file. What opens must be the bytes that
// were put there, and nothing outside of the directory's names.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

#include "weightmap/weight_file.h"

#include "format/file_identity.h"
#include "fuzz/input.h"
#include "support/checkpoint_writer.h"
#include "support/file_bytes.h"
#include "support/raw_file.h"
#include "support/temp_dir.h"

namespace {

using namespace weightmap::tests;
namespace fb = weightmap::fb;
using weightmap::Digest;
using weightmap::Result;
using weightmap::WeightFile;

constexpr std::size_t kMostFiles = 16;
constexpr std::uint64_t kFeatureDataFiles = 4;

// The directory that weight files are opened in. Made once; then only the content of `model.wmap`
// and of `data` changes.
class Place {
 public:
  Place() {
    std::filesystem::create_directories(at("blobs"));
    make("zip", write_zip({{"archive/data/0", noise(100)}}));
    make("tensors", std::string("\2\0\0\0\0\0\0\0{}", 10) + noise(100, 2));
    make("weights", std::string(text_of(write_raw(sample_file()))));
    make("blobs/1", contents_["zip"]);
    make("../outside", contents_["zip"]);
    link("data", "link");
    link("blobs/1", "hub");
    link("nowhere", "dead");
    link("fifo", "to-fifo");
    link("/dev/zero", "device");
    if (::mkfifo(at("fifo").c_str(), 0600) != 0) give_up("there is no FIFO");
    contents_["hub"] = contents_["zip"];
    data_ = ::open(at("data").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    model_ = ::open(model_path().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() {
    ::close(data_);
    ::close(model_);
  }

  std::string model_path() const { return at("model.wmap"); }

  void write_model(std::string_view bytes) const { overwrite(model_, bytes); }
  void write_data(std::string_view bytes) {
    overwrite(data_, bytes);
    contents_["data"] = contents_["link"] = bytes;
  }

  // What a path from the directory leads to; null where that is no regular file of ours.
  const std::string* content(std::string_view path) const {
    const auto found = contents_.find(path);
    return found == contents_.end() ? nullptr : &found->second;
  }

 private:
  std::string at(std::string_view name) const { return dir_ / ("beside/" + std::string(name)); }
  void make(const std::string& name, const std::string& bytes) {
    write_file(at(name), bytes);
    contents_[name] = bytes;
  }
  void link(const std::string& to, std::string_view name) const {
    std::filesystem::create_symlink(to, at(name));
  }
  static void overwrite(int descriptor, std::string_view bytes) {
    const auto size = static_cast<ssize_t>(bytes.size());
    const bool is_done = ::ftruncate(descriptor, size) == 0 &&
                         ::pwrite(descriptor, bytes.data(), bytes.size(), 0) == size;
    if (!is_done) give_up("there is no room for a file");
  }

  TempDir dir_;
  std::map<std::string, std::string, std::less<>> contents_;
  int data_ = -1;
  int model_ = -1;
};

std::uint64_t take_number(std::string_view& input, std::size_t bytes) {
  std::uint64_t number = 0;
  const std::string_view taken = input.substr(0, bytes);
  std::memcpy(&number, taken.data(), taken.size());
  input.remove_prefix(taken.size());
  return number;
}

std::string take_text(std::string_view& input, std::size_t bytes) {
  std::string text(input.substr(0, bytes));
  input.remove_prefix(text.size());
  return text;
}

// The file's own, from its bytes in memory; none where it is no file of that kind.
std::optional<Digest> true_identity(std::uint8_t kind, const std::string& bytes) {
  if (kind == 0) return std::nullopt;
  const auto read = [&](std::uint64_t offset, std::span<std::byte> into) -> Result<void> {
    if (offset > bytes.size() || into.size() > bytes.size() - offset)
      give_up("a read beyond the end");
    std::ranges::copy(std::as_bytes(std::span(bytes)).subspan(offset, into.size()), into.begin());
    return {};
  };
  const auto found =
      weightmap::format::identity_of(static_cast<fb::DataFileKind>(kind), bytes.size(), read);
  return found ? std::optional(*found) : std::nullopt;
}

std::optional<Digest> take_identity(std::string_view& input) {
  Digest digest;
  const std::string bytes = take_text(input, digest.bytes.size());
  if (bytes.empty()) return std::nullopt;
  std::memcpy(digest.bytes.data(), bytes.data(), bytes.size());
  return digest;
}

void take_segments(std::string_view& input, RawIndex& index) {
  RawDataFile& file = index.data_files.back();
  file.first_segment = static_cast<std::uint32_t>(index.segments.size());
  file.segment_count = take_number(input, 1) & 3U;
  for (std::uint32_t i = 0; i < file.segment_count; ++i) {
    const std::uint64_t offset = take_number(input, 8);
    const std::uint64_t size = take_number(input, 8);
    const auto segment = static_cast<std::uint32_t>(index.segments.size());
    add_tensor(index, {.name = "t" + std::to_string(segment),
                       .dtype = 0,
                       .shape = {static_cast<std::int64_t>(size)},
                       .strides = {1},
                       .segment = segment});
    index.segments.push_back({offset, size});
  }
}

void take_data_file(std::string_view& input, const Place& place, RawIndex& index) {
  RawDataFile& file = index.data_files.emplace_back();
  file.kind = static_cast<std::uint8_t>(take_number(input, 1));
  const std::uint64_t truths = take_number(input, 1);
  file.alignment_bytes = 1U << (take_number(input, 1) & 31U);
  file.name = take_text(input, take_number(input, 1));
  const std::string* const bytes = place.content(file.name);
  const bool is_size_true = (truths & 1U) != 0 && bytes != nullptr;
  const bool is_identity_true = (truths & 2U) != 0 && bytes != nullptr;
  file.size_bytes = is_size_true ? bytes->size() : take_number(input, 8);
  file.identity = is_identity_true ? true_identity(file.kind, *bytes) : take_identity(input);
  take_segments(input, index);
}

RawFile weight_file(std::string_view input, const Place& place) {
  RawFile file;
  file.index.data_files.emplace_back();
  while (!input.empty() && file.index.data_files.size() <= kMostFiles)
    take_data_file(input, place, file.index);
  file.required_features = file.index.data_files.size() > 1 ? kFeatureDataFiles : 0;
  rehash(file.index);
  return file;
}

void expect(bool holds, const char* broken) {
  if (!holds) give_up(broken);
}

bool is_one_line(std::string_view message) {
  return !message.empty() && std::ranges::all_of(message, [](unsigned char character) {
    return character >= 0x20 && character != 0x7F;
  });
}

// All data files are open: those of the directory, and every tensor has the bytes put there.
void check_opened(const WeightFile& file, const Place& place) {
  const auto files = file.data_files();
  for (std::uint32_t number = 1; number < files.size(); ++number) {
    const std::string* const bytes = place.content(files[number].name);
    expect(files[number].problem.empty(), "an open data file has a problem");
    expect(bytes != nullptr && files[number].name.find('/') == std::string_view::npos,
           "a data file is open that is none of the directory's");
    expect(text_of(file.data_file_mapping(number)) == *bytes, "a data file has other bytes");
  }
  for (std::uint32_t number = 0; number < file.tensor_count(); ++number) {
    const auto segment = file.segment(number);
    const std::string* const bytes = place.content(files[segment.data_file].name);
    expect(text_of(file.tensor(number).extent()) ==
               std::string_view(*bytes).substr(segment.offset_bytes, segment.size_bytes),
           "a tensor has other bytes");
  }
}

// Who only looks gets all that is there: each other file has a problem, and its tensors no bytes.
void check_looked_at(const WeightFile& file) {
  std::size_t problems = 0;
  for (const auto& data_file : file.data_files()) {
    if (data_file.problem.empty()) continue;
    ++problems;
    expect(is_one_line(data_file.problem), "a problem that is not one line");
  }
  expect(problems > 0, "a file that was refused has no problem");
  for (std::uint32_t number = 0; number < file.tensor_count(); ++number) {
    const bool has_problem = !file.data_files()[file.segment(number).data_file].problem.empty();
    expect(file.tensor(number).is_absent() == has_problem, "a tensor of a file that is not open");
    expect(has_problem == (file.tensor(number).data() == nullptr), "a tensor without its bytes");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Place place;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  place.write_data(take_part(input));
  place.write_model(text_of(write_raw(weight_file(input, place))));
  const auto opened = WeightFile::open(place.model_path());
  if (opened) {
    check_opened(*opened, place);
    return 0;
  }
  expect(is_one_line(opened.error().message()), "a message that is not one line");
  const auto looked_at = WeightFile::open(place.model_path(), {.need_data_files = false});
  if (looked_at) check_looked_at(*looked_at);
  return 0;
}
