// SPDX-License-Identifier: Apache-2.0
// Writes a synthetic model for the rivals, and for the converter: make_inputs KIND COUNT FOLDER.
// KIND: `experts` (COUNT tensors), `wide` (COUNT layers), `gpt2` (its shapes; COUNT layers). The
// files: COUNT.safetensors and, as table.fbs says, COUNT.table, with the kind in front.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "contestant.h"
#include "models.h"
#include "table_file.h"
#include "table_generated.h"

namespace {

using namespace weightmap;

constexpr std::uint8_t kFloat32 = 6;  // c10::ScalarType

std::size_t bytes_of(const tests::SyntheticTensor& tensor) {
  return tests::element_count(tensor) * sizeof(float);
}

// All that follows what is written is a hole.
void write_with_hole(const std::string& path, const std::string& front, std::size_t data_bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(front.data(), static_cast<std::streamsize>(front.size()));
  out.seekp(static_cast<std::streamoff>(data_bytes) - 1, std::ios::cur);
  out.put('\0');
  bench::require(out.flush().good(), "cannot write an input");
}

std::string json_of(const tests::SyntheticTensor& tensor, std::size_t begin) {
  std::string text = "\"" + tensor.name + "\":{\"dtype\":\"F32\",\"shape\":[";
  for (const std::int64_t size : tensor.shape)
    text += std::to_string(size) + ",";
  text.back() = ']';
  return text + ",\"data_offsets\":[" + std::to_string(begin) + "," +
         std::to_string(begin + bytes_of(tensor)) + "]}";
}

// As the reference library lays it out: the text padded with spaces to a multiple of 8.
void write_safetensors(const tests::SyntheticModel& model, const std::string& path) {
  std::string text = "{";
  std::size_t end = 0;
  for (const tests::SyntheticTensor& tensor : model) {
    text += json_of(tensor, end) + ",";
    end += bytes_of(tensor);
  }
  text.back() = '}';
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t length = text.size();
  write_with_hole(path, std::string(reinterpret_cast<const char*>(&length), sizeof length) + text,
                  end);
}

// Builders write from the back: made in descending order, the tables lie in ascending order, which
// is how they are verified and searched fastest.
void write_table(const tests::SyntheticModel& model, const std::string& path) {
  std::map<std::string_view, std::pair<const tests::SyntheticTensor*, std::uint64_t>> by_name;
  std::uint64_t end = 0;
  for (const tests::SyntheticTensor& tensor : model) {
    by_name[tensor.name] = {&tensor, end};
    end += bytes_of(tensor);
  }
  flatbuffers::FlatBufferBuilder builder;
  std::vector<flatbuffers::Offset<bench::Tensor>> tensors;
  for (auto row = by_name.rbegin(); row != by_name.rend(); ++row) {
    const auto& [tensor, begin] = row->second;
    const std::vector<std::uint64_t> shape(tensor->shape.begin(), tensor->shape.end());
    tensors.push_back(bench::CreateTensorDirect(builder, tensor->name.c_str(), kFloat32, &shape,
                                                begin, bytes_of(*tensor)));
  }
  builder.Finish(bench::CreateModel(
      builder, builder.CreateVectorOfSortedTables(tensors.data(), tensors.size())));
  std::string front(bench::kTableAt, '\0');
  const std::uint64_t size = builder.GetSize();
  front.replace(0, sizeof size, reinterpret_cast<const char*>(&size), sizeof size);
  front.append(reinterpret_cast<const char*>(builder.GetBufferPointer()), size);
  write_with_hole(path, front, end);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 4) {
    std::fputs("usage: make_inputs KIND COUNT FOLDER\n", stderr);
    return 2;
  }
  const std::string stem = std::string(argv[3]) + "/" + argv[1] + "-" + argv[2];
  const tests::SyntheticModel model = bench::model_of(argv[1], std::strtoull(argv[2], nullptr, 10));
  write_safetensors(model, stem + ".safetensors");
  write_table(model, stem + ".table");
  return 0;
} catch (const std::exception& failure) {
  std::fprintf(stderr, "make_inputs: %s\n", failure.what());
  return 1;
}
