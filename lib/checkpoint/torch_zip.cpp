// SPDX-License-Identifier: Apache-2.0
// `data.pkl` is the object, `data/<key>` a storage's bytes: torch/serialization.py, _save.
#include "checkpoint/torch_zip.h"

#include <array>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "checkpoint/torch_archive.h"
#include "checkpoint/torch_script.h"

namespace weightmap::checkpoint {
namespace {

constexpr std::string_view kPickleRecord = "data.pkl";

// A record that tells that the archive is something else.
struct Sign {
  std::string_view record;
  ErrorCode code;
  std::string_view meaning;
};

constexpr auto kSigns = std::to_array<Sign>({
    {".data/extern_modules", ErrorCode::kWrongKind,
     "a torch.package: load the model with torch.package and torch.save its state_dict()"},
    {"archive_format", ErrorCode::kWrongKind,
     "an exported program (.pt2): load it with torch.export.load and torch.save its state_dict"},
    {"model.json", ErrorCode::kUnsupported, "a TorchScript archive from before 1.2"},
});

Result<void> check_kind(const TorchArchive& archive) {
  for (const Sign& sign : kSigns) {
    if (archive.find(sign.record) != nullptr) {
      return archive.error(sign.code, concat("is ", sign.meaning));
    }
  }
  if (archive.find(kPickleRecord) != nullptr) return {};
  return archive.error(ErrorCode::kWrongKind,
                       concat("is a zip archive, but no checkpoint: there is no record ",
                              quoted(concat(archive.root(), kPickleRecord))));
}

}  // namespace

Result<Checkpoint> read_torch_zip(io::File file, const ReadOptions& options) {
  auto archive = TorchArchive::open(std::move(file));
  if (!archive) return archive.error();
  if (auto done = check_kind(*archive); !done) return done.error();
  if (auto done = archive->check_layout(); !done) return done.error();
  if (is_torch_script(*archive)) return read_torch_script(*std::move(archive), options);
  const auto pickle = archive->read_pickle(kPickleRecord, options);
  if (!pickle) return pickle.error();
  if (options.globals != nullptr) return (*std::move(archive)).finish("zip checkpoint");
  if (auto done = archive->read_values(pickle->pickle, kPickleRecord, "data/"); !done) {
    return done.error();
  }
  return (*std::move(archive)).finish("zip checkpoint");
}

}  // namespace weightmap::checkpoint
