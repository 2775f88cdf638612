#!/usr/bin/env bash
run_all weightmap stat "$DIGITS"
run_all weightmap stat nothing.wmap --json
run_all weightmap stat nothing.wmap --json --watch 1
run_all weightmap stat
convert_digits
run_all weightmap stat digits.wmap --watch soon
run_all weightmap stat --watch digits.wmap --count 1
run_all weightmap stat digits.wmap --watch 0
run_all weightmap stat digits.wmap --watch 86401
run_all weightmap stat digits.wmap --watch 1 --count 0
run_all weightmap stat digits.wmap --count 1
run_all weightmap stat digits.wmap --watch nan
weightmap stat --watch 1 --count 1 digits.wmap | sed -n 1p
weightmap stat --count 1 --watch digits.wmap | sed -n 1p
run weightmap stat --help
