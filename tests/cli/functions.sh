# shellcheck shell=bash
# What every case has at hand. CLI is the directory of this file, DATA that of the test data.

export DIGITS=$DATA/digits/digits.pt
export CHECKPOINTS=$DATA/checkpoints/torch-2.13
export UNSUPPORTED=$DATA/checkpoints/unsupported

weightmap() { "$WEIGHTMAP" "$@"; }

# Shows a command, runs it and tells its exit code unless it is 0.
run() {
  local code=0
  echo "\$ $*"
  "$@" || code=$?
  ((code == 0)) || echo "exit code $code"
}

# Shows a command and runs it with standard error among its output, where they belong together.
run_all() { run "$@" 2>&1; }

# A weight file to work on: converted digits.wmap, nothing said.
convert_digits() { weightmap convert "$DIGITS" digits.wmap >/dev/null; }

# Writes the rest of the line's escapes as bytes into a file at an offset.
overwrite() {
  local -r file=$1 offset=$2 bytes=$3
  # shellcheck disable=SC2059 # the format is the data
  printf "$bytes" | dd of="$file" bs=1 seek="$offset" conv=notrunc status=none
}

# One field of a JSON document on standard input, by a Python expression over `it`.
field() { python3 -c "import json, sys; it = json.load(sys.stdin); print($1)"; }

skip() {
  echo "skipped: $*"
  exit 77
}

# For cases that run a command on a terminal.
need_pseudo_terminal() {
  python3 -c 'import os; os.openpty()' 2>/dev/null || skip "this system gives no pseudo-terminal"
}
