// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <complex>
#include <cstdint>
#include <string>
#include <string_view>

#include "listing.h"
#include "output.h"

// The values of a checkpoint, for programs and for people.
namespace weightmap::tool {

// "module.name" of the text "module\nname" of a global or opaque object.
std::string qualified_name(std::string_view text);

// What the text of a node stands for: an integer of any length, in decimal or, when very long, in
// hexadecimal; a complex number.
std::string integer_text(std::string_view text);
std::complex<double> complex_value(std::string_view text);

// Numbers as JSON has them: text where a reader of JSON would not keep the number.
Json integer_json(std::int64_t value);
Json real_json(double value);
std::string real_text(double value);  // as Python writes it

// Of a kComposite node: its name, or its number where the listing has no names.
std::string composite_name(const Listing& listing, const ValueNode& node);

// A node as tools/README.md describes it.
Json value_json(const Listing& listing, std::uint32_t number);

// In a few words: `5`, `'adam'`, `dict of 2`. Printable.
std::string value_text(const Listing& listing, std::uint32_t number);

// An object of a class that is known to be plain data, as Python would show it: `1.5
// (numpy.float64)`, `PosixPath('runs/a')`, `2024-02-29 12:30:15`. REQUIRES: a node of kind kObject.
std::string object_text(const Listing& listing, std::uint32_t number);

}  // namespace weightmap::tool
