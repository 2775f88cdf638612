// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace weightmap {

// What a caller can do about a failure; the message says what happened.
enum class ErrorCode {
  kInvalidArgument,  // the call itself is wrong: mend the program or the command line
  kNotFound,         // no such file, tensor or key
  kIo,               // the system refused: permission, full disk, broken device
  kExists,           // the target exists and must not be replaced
  kWrongKind,        // the file is something else; the message names it
  kCorrupt,          // the file breaks a rule of its own format
  kUnsupported,      // valid, but not within what this version reads or keeps
  kUnsafe,           // the file names what only an attack uses
  kMismatch,         // the file and the module do not fit
  kCancelled,        // the caller asked to stop
};

// A failure: a code for programs and one line for people, in the form
// `<path>: <where>: <what is wrong>, <found> vs <expected>`, lower case, without a full stop.
class Error {
 public:
  Error(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}

  ErrorCode code() const { return code_; }
  const std::string& message() const { return message_; }

  // The same failure as seen one layer up: "<context>: <message>".
  Error with_context(std::string_view context) const {
    return {code_, std::string(context) + ": " + message_};
  }

 private:
  ErrorCode code_;
  std::string message_;
};

// The code in words, as `--json` prints it: "corrupt", "not_found" ...
std::string_view error_code_name(ErrorCode code);

}  // namespace weightmap
