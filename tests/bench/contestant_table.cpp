// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "contestant.h"
#include "table_file.h"
#include "table_generated.h"

namespace weightmap::bench {
namespace {

constexpr std::uint8_t kFloat32 = 6;  // c10::ScalarType

class TableFile {
 public:
  explicit TableFile(const std::string& path) : file_(path) {
    std::uint64_t size = 0;
    file_.read(0, &size, sizeof size);
    require(size <= file_.size() - kTableAt, "table: size of the index");
    index_ = std::make_unique_for_overwrite<std::uint8_t[]>(size);
    file_.read(kTableAt, index_.get(), size);
    data_begin_ = kTableAt + size;
    flatbuffers::Verifier::Options options;
    options.max_tables = static_cast<flatbuffers::uoffset_t>(size / 8);
    flatbuffers::Verifier verifier(index_.get(), size, options);
    require(VerifyModelBuffer(verifier), "table: verify");
    tensors_ = GetModel(index_.get())->tensors();
    require(tensors_ != nullptr, "table: no tensors");
  }

  const Tensor* find(const std::string& name) const { return tensors_->LookupByKey(name.c_str()); }

  const std::byte* data(const Tensor& tensor) const {
    const std::uint64_t bytes = file_.size() - data_begin_;
    require(tensor.offset() <= bytes && tensor.size() <= bytes - tensor.offset(), "table: place");
    return file_.data() + data_begin_ + tensor.offset();
  }

 private:
  InputFile file_;
  std::unique_ptr<std::uint8_t[]> index_;
  std::size_t data_begin_ = 0;
  const flatbuffers::Vector<flatbuffers::Offset<Tensor>>* tensors_ = nullptr;
};

bool fits(const tests::SyntheticTensor& wanted, const Tensor& found) {
  if (found.dtype() != kFloat32 || found.shape() == nullptr) return false;
  return std::equal(
      wanted.shape.begin(), wanted.shape.end(), found.shape()->begin(), found.shape()->end(),
      [](std::int64_t a, std::uint64_t b) { return static_cast<std::uint64_t>(a) == b; });
}

}  // namespace

Contestant table_bind(const std::string& path, const tests::SyntheticModel& wanted) {
  const auto bound = std::make_shared<Bound>(wanted.size());
  const auto run = [path, bound, &wanted] {
    const TableFile file(path);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const Tensor* const found = file.find(wanted[i].name);
      require(found != nullptr && fits(wanted[i], *found), "table: bind");
      (*bound)[i] = file.data(*found);
    }
  };
  return {.name = "FlatBuffers, LookupByKey", .run = run};
}

Contestant table_find(const std::string& path, const tests::SyntheticModel& wanted) {
  const auto run = [file = std::make_shared<TableFile>(path), &wanted] {
    for (const tests::SyntheticTensor& tensor : wanted)
      require(file->find(tensor.name) != nullptr, "table: find");
  };
  return {.name = "FlatBuffers, LookupByKey", .run = run};
}

}  // namespace weightmap::bench
