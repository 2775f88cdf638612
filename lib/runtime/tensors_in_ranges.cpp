// SPDX-License-Identifier: Apache-2.0
#include "runtime/tensors_in_ranges.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace weightmap {

void name_tensors(const WeightFile& file, std::vector<Damage>& damages) {
  for (std::uint32_t number = 0; number < file.tensor_count(); ++number) {
    const TensorPlace place = file.place(number);
    if (!place.segment || place.size_bytes == 0) continue;
    const std::uint32_t data_file = file.segment(*place.segment).data_file;
    auto damage = std::ranges::partition_point(damages, [&](const Damage& before) {
      return std::pair(before.data_file, before.end_bytes) <=
             std::pair(data_file, place.offset_bytes);
    });
    for (; damage != damages.end() && damage->data_file == data_file &&
           damage->begin_bytes < place.offset_bytes + place.size_bytes;
         ++damage) {
      damage->tensors.push_back(file.name(number));
    }
  }
}

}  // namespace weightmap
