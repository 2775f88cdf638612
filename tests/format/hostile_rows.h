// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

#include "weightmap/error.h"

#include "support/raw_file.h"

namespace weightmap::tests {

// One way to break one rule and nothing before it: a change of the valid file's content, or of its
// bytes (which signs them again), or both.
struct HostileRow {
  int rule;
  std::string_view what;
  std::string_view text;  // a part of the message
  void (*edit)(RawFile&) = nullptr;
  void (*patch)(Bytes&) = nullptr;
  ErrorCode code = ErrorCode::kCorrupt;
};

std::vector<HostileRow> header_rows();     // R1 to R7
std::vector<HostileRow> index_rows();      // R8 to R15, R20 to R22
std::vector<HostileRow> tensor_rows();     // R16 to R18
std::vector<HostileRow> composite_rows();  // R19
std::vector<HostileRow> extras_rows();     // R23 to R26
std::vector<HostileRow> blob_rows();       // R27, R28

inline Bytes bytes_of_row(const HostileRow& row) {
  RawFile file = sample_file();
  if (row.edit != nullptr) row.edit(file);
  Bytes bytes = write_raw(file);
  if (row.patch != nullptr) row.patch(bytes);
  return bytes;
}

}  // namespace weightmap::tests
