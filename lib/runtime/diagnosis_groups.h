// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weightmap/diagnosis.h"

#include "runtime/diagnosis_renaming.h"

// What missing, unexpected and mismatched keys have in common, when no rename mends them.
namespace weightmap {

// What a whole module or layer, or one kind of slot, is missing of. `rest`: numbers of `names`,
// ascending, that the other side does not have.
enum class RestSide : std::uint8_t { kMissing, kUnexpected };
std::vector<DiagnosisCause> group_rest(std::span<const std::string_view> names,
                                       const std::vector<std::uint32_t>& rest,
                                       RestSide side);

// Matrices that are the other way round, of the keys as they are renamed.
std::vector<DiagnosisCause> group_transposed(const Renaming& renaming);

// Whether --dtype casts it.
bool is_castable(Dtype dtype);

// Tells the cause of dtypes that differ, and what the converter can make them.
std::vector<DiagnosisCause> group_dtypes(const Renaming& renaming, Remedy& remedy);

}  // namespace weightmap
