// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "format/rules.h"

// The rules of the index (FORMAT.md 5), by the source that holds them. Each relies on those
// before it; those about single entries rely on them for these entries alone, R15 apart, which they
// do not need. Errors: kCorrupt.
namespace weightmap::format {

// index_rules.cpp
Result<void> check_index_digest(const IndexInput& input);      // R8
Result<void> check_index_flatbuffer(const IndexInput& input);  // R9
Result<void> check_counts(const IndexInput& input);            // R10
Result<void> check_modules(const IndexInput& input);           // R20
Result<void> check_features(const IndexInput& input);          // R21

// data_file_rules.cpp
Result<void> check_data_files(const IndexInput& input);  // R11
Result<void> check_segments(const IndexInput& input);    // R12

// name_rules.cpp
Result<void> check_names(const EntriesInput& input);   // R13
Result<void> check_hashes(const EntriesInput& input);  // R14
Result<void> check_order(const IndexInput& input);     // R15

// tensor_rules.cpp
Result<void> check_entries(const EntriesInput& input);  // R16
Result<void> check_dims(const EntriesInput& input);     // R17
Result<void> check_extents(const EntriesInput& input);  // R18

// composite_rules.cpp
Result<void> check_composites(const IndexInput& input);  // R19

// "tensor `name`", for messages. REQUIRES: R13 holds.
std::string tensor_text(const IndexView& view, const fb::Entry& entry);

}  // namespace weightmap::format
