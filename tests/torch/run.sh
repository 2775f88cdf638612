#!/usr/bin/env bash
# Runs a test here with the interpreter that has PyTorch: run.sh SCRIPT WEIGHTMAP DATA.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
exec "${WEIGHTMAP_TORCH_PYTHON:-python3}" -B -W ignore "$here/$1" "${@:2}"
