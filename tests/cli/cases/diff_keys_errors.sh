#!/usr/bin/env bash
# What is no spec is refused in one line, with exit code 2.
convert_digits
number=0
refused() {
  number=$((number + 1))
  printf '%s' "$1" >"spec$number.json"
  run_all weightmap diff --keys "spec$number.json" digits.wmap
}
begin='{"format": "weightmap spec 1", "keys": ['
refused "$begin"
refused "$begin]"
refused "$begin]} more"
refused '{"format": "weightmap spec 1"}'
refused '{"format": "weightmap spec 1", "keys": {}}'
refused '{"format": "weightmap spec 1", "keys": [], "keys": []}'
refused '{"format": "weightmap spec 2", "keys": []}'
refused '{"format": "weightmap spec 1", "tensors": []}'
refused '{"keys": []}'
refused "${begin}1]}"
refused "$begin{}]}"
refused "$begin{\"name\": \"\"}]}"
refused "$begin{\"name\": \"a\", \"dtpye\": \"float32\"}]}"
refused "$begin{\"name\": \"a\", \"dtype\": \"float\"}]}"
refused "$begin{\"name\": \"a\", \"dtype\": 6}]}"
refused "$begin{\"name\": \"a\", \"shape\": 6}]}"
refused "$begin{\"name\": \"a\", \"shape\": [-1]}]}"
refused "$begin{\"name\": \"a\", \"shape\": [1.5]}]}"
refused "$begin{\"name\": \"a\", \"shape\": [18446744073709551615]}]}"
refused "$begin{\"name\": \"a\", \"shape\": [\"1\"]}]}"
refused "$begin{\"name\": \"a\", \"shape\": [[1]]}]}"
refused "$begin{\"name\": \"a\", \"shape\": [1], \"shape\": [2]}]}"
refused "$begin{\"name\": \"a\", \"name\": \"b\"}]}"
refused "$begin{\"name\": \"a\", \"dtype\": null, \"dtype\": \"int64\"}]}"
refused '{"format": "weightmap spec 1", "format": "weightmap spec 1", "keys": []}'
refused "$begin{\"name\": \"a\", \"shape\": [99999999999999999999999999]}]}"
refused "$begin{\"name\": \"a\"}, {\"name\": \"a\"}]}"
refused "$begin{\"name\": \"a$(printf '\xff')\"}]}"
refused "$begin$(printf '%0.s[' {1..5000})"
printf 'a\nb\na\n' >twice.txt
run_all weightmap diff --keys digits.wmap twice.txt
run_all weightmap diff --keys digits.wmap absent.txt
run_all weightmap diff --keys absent.json digits.wmap --json
run_all weightmap diff --keys digits.wmap twice.txt --root-b model
run_all weightmap diff --keys digits.wmap digits.wmap --tensors
run_all weightmap diff digits.wmap digits.wmap --not-strict
run_all weightmap diff digits.wmap digits.wmap --ignore-dtype
run_all weightmap inspect digits.wmap --spec --globals
