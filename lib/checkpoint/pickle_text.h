// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

// Protocol 0 writes its values as lines of text. What they stand for; nothing: no such text.
namespace weightmap::checkpoint {

// UNICODE: Latin-1 with \u and \U for the rest, as UTF-8. At most twice as long as the line.
std::optional<std::string> from_raw_unicode(std::string_view line);

// STRING: what repr() made of Python 2's text, in its quotes.
std::optional<std::string> from_python2_repr(std::string_view line);

// INT and LONG: decimal digits as little-endian two's complement. Longer ones than Python itself
// reads (4,300 digits) are nothing.
std::optional<std::string> from_decimal(std::string_view digits);

}  // namespace weightmap::checkpoint
