#!/usr/bin/env bash
# Every one ends with 2, before any file is touched.
convert_digits
run_all weightmap
run_all weightmap mend digits.wmap
run_all weightmap --frobnicate
run_all weightmap --json
run_all weightmap convert
run_all weightmap convert "$DIGITS" out.wmap another
run_all weightmap convert "$DIGITS" out.wmap --frobnicate
run_all weightmap convert "$DIGITS" out.wmap --align
run_all weightmap convert "$DIGITS" out.wmap --align wide
run_all weightmap convert "$DIGITS" out.wmap --align 100
run_all weightmap convert "$DIGITS" out.wmap --align 32
run_all weightmap convert "$DIGITS" out.wmap --align 4MiB
run_all weightmap convert "$DIGITS" out.wmap --align 4294967360
run_all weightmap convert "$DIGITS" out.wmap --align -64
run_all weightmap inspect
run_all weightmap verify
ls
