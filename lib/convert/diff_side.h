// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "weightmap/convert.h"
#include "weightmap/diff.h"
#include "weightmap/digest.h"
#include "weightmap/result.h"
#include "weightmap/value_graph.h"
#include "weightmap/weight_file.h"

namespace weightmap::convert {

struct SideTensor {
  TensorView view;                       // without data
  std::optional<std::uint32_t> segment;  // nothing: the tensor has no bytes
  std::uint64_t offset_bytes = 0;        // of the first element, in the segment
  std::uint64_t extent_bytes = 0;
};

// One of two things that are compared: a weight file, or a checkpoint as it would be converted. Its
// views are valid as long as it lives. Not safe for use from several threads.
class DiffSide {
 public:
  // Errors: those of diff() about one side.
  static Result<std::unique_ptr<DiffSide>> open(const std::string& path,
                                                const CheckpointOptions& options);
  virtual ~DiffSide() = default;
  DiffSide(const DiffSide&) = delete;
  DiffSide& operator=(const DiffSide&) = delete;

  const std::string& path() const { return path_; }
  const std::string& kind() const { return kind_; }
  std::span<const SideTensor> tensors() const { return tensors_; }
  std::span<const CompositeView> composites() const { return composites_; }
  std::span<const ModuleVersion> modules() const { return modules_; }
  std::uint64_t data_bytes() const { return data_bytes_; }  // of all segments

  // The recorded digest of a segment, zero where there is none. REQUIRES: a segment of a tensor.
  virtual Digest digest(std::uint32_t segment) const = 0;

  // Stands for all that there is, elements and values; nothing where no digest does.
  virtual std::optional<Digest> whole_digest() const = 0;

  // The object that holds the tensors. Errors: kIo, kCorrupt.
  virtual Result<ValueGraph> values() = 0;

  // Reads a part of a segment. Errors: kIo, kCorrupt; kUnsupported (a compressed storage, too often
  // from its beginning). REQUIRES: the range lies inside the segment.
  virtual Result<void> read(std::uint32_t segment,
                            std::uint64_t offset_bytes,
                            std::span<std::byte> into) = 0;

 protected:
  DiffSide(std::string path, std::string kind) : path_(std::move(path)), kind_(std::move(kind)) {}

  std::vector<SideTensor> tensors_;
  std::vector<CompositeView> composites_;
  std::vector<ModuleVersion> modules_;
  std::uint64_t data_bytes_ = 0;

 private:
  std::string path_;
  std::string kind_;
};

}  // namespace weightmap::convert
