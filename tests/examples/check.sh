#!/usr/bin/env bash
# Runs a program and holds what it prints against a file: check.sh EXPECTED PROGRAM [ARGUMENT...]
set -euo pipefail

printed=$("${@:2}")
diff "$1" <(printf '%s\n' "$printed")
