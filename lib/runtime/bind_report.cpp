// SPDX-License-Identifier: Apache-2.0
#include "weightmap/bind.h"

#include "base/text.h"

namespace weightmap {

std::string BindReport::text() const {
  if (ok()) {
    return concat("bound ", matched_.size(), " tensors, ", missing_.size(), " missing, ",
                  unexpected_.size(), " unexpected");
  }
  std::string text = concat("Error(s) in loading state_dict for ", class_name_, ":");
  for (const std::string& error : errors_)
    text += "\n\t" + error;
  return text;
}

Error BindReport::error() const {
  return {ErrorCode::kMismatch, text()};
}

}  // namespace weightmap
