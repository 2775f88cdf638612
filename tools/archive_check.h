// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>

#include "weightmap/result.h"
#include "weightmap/weight_file.h"

namespace weightmap::tool {

// Where a weight file refers to segments in zip archives and has no digests of them, the CRCs of
// the archives tell: moves such segments of the report from those without a digest to those that
// are counted here, and adds what is damaged. Errors: those of check_archive.
Result<std::uint64_t> check_archives(
    const WeightFile& file,
    VerifyReport& report,
    const std::function<bool(std::uint64_t done_bytes, std::uint64_t total_bytes)>& progress);

}  // namespace weightmap::tool
