#!/usr/bin/env bash
# Runs cases of the command line: run.sh [--update] [NAME...], all of them without a name.
#
# A case is cases/NAME.sh. It runs in an empty directory, with functions.sh, and what it writes and how
# it ends must be as NAME.stdout, NAME.stderr (nothing, if there is no such file) and NAME.exit (0,
# likewise) say. Times, rates, digests and directories are replaced by <time>, <rate>, <digest>, <dir>
# and <data> before they are compared. --update writes these files anew.
# A case that cannot run here says why and exits with 77, which counts as skipped.
#
# WEIGHTMAP: the program to test; the one on the path if not set.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cases=$here/cases
WEIGHTMAP=${WEIGHTMAP:-$(command -v weightmap)}
DATA=$(cd "$here/../data" && pwd)
readonly here cases WEIGHTMAP DATA skipped=77

normalized() {
  sed --regexp-extended \
    -e "s|$scratch/work|<dir>|g; s|$DATA|<data>|g" \
    -e 's/\b[0-9a-f]{32}\b/<digest>/g' \
    -e 's/\b[0-9]+\.[0-9]+ s\b/<time>/g; s/\b[0-9]+\.[0-9]+ [GM]B\/s/<rate>/g' \
    -e 's/"seconds": ?[0-9.e-]+/"seconds": <time>/' "$1"
}

# Leaves the outcome of a case in $scratch: stdout, stderr, exit.
run_case() {
  local code=0
  mkdir -p "$scratch/work"
  (
    cd "$scratch/work"
    exec env --ignore-environment HOME="$scratch" LC_ALL=C.UTF-8 PATH="$PATH" TERM=xterm \
      CLI="$here" DATA="$DATA" WEIGHTMAP="$WEIGHTMAP" BASH_ENV="$here/functions.sh" \
      bash "$cases/$1.sh"
  ) </dev/null >"$scratch/raw.stdout" 2>"$scratch/raw.stderr" || code=$?
  normalized "$scratch/raw.stdout" >"$scratch/stdout"
  normalized "$scratch/raw.stderr" >"$scratch/stderr"
  echo "$code" >"$scratch/exit"
}

# The expectation, or what stands for a file that is not there.
expected() {
  local -r file=$cases/$1.$2
  if [[ -e $file ]]; then
    cat "$file"
  elif [[ $2 == exit ]]; then
    echo 0
  fi
}

compare() {
  local part same=0
  for part in exit stdout stderr; do
    diff --unified --label "expected $part" --label "actual $part" \
      <(expected "$1" "$part") "$scratch/$part" || same=1
  done
  return "$same"
}

update() {
  local part
  for part in exit stdout stderr; do
    rm -f "$cases/$1.$part"
    if ! diff --brief <(expected "$1" "$part") "$scratch/$part" >/dev/null; then
      cp "$scratch/$part" "$cases/$1.$part"
    fi
  done
}

check_case() {
  scratch=$(mktemp --directory)
  trap 'rm -rf "$scratch"' EXIT
  run_case "$1"
  if [[ $(<"$scratch/exit") == "$skipped" ]]; then
    cat "$scratch/stdout" "$scratch/stderr"
    return "$skipped"
  fi
  if "$updating"; then update "$1"; else compare "$1"; fi
}

report_case() {
  local code=0
  (check_case "$1") || code=$?
  case $code in
    0) echo "ok       $1" ;;
    "$skipped") echo "skipped  $1" ;;
    *) echo "FAILED   $1" ;;
  esac
  return "$code"
}

all_cases() {
  local file
  for file in "$cases"/*.sh; do
    basename "$file" .sh
  done
}

updating=false
if [[ ${1:-} == --update ]]; then
  updating=true
  shift
fi
names=("$@")
(($#)) || mapfile -t names < <(all_cases)
worst=0
for name in "${names[@]}"; do
  code=0
  report_case "$name" || code=$?
  # A failure outweighs what was skipped.
  if ((code != 0 && worst != 1)); then worst=$((code == skipped ? skipped : 1)); fi
done
exit "$worst"
