#!/usr/bin/env bash
# One object whatever comes of it, and the exit codes of diff(1).
convert_digits
run weightmap diff "$DIGITS" digits.wmap --json
run weightmap diff "$CHECKPOINTS/training.pt" "$DATA/checkpoints/torch-1.13/training.pt" --json
weightmap convert "$DIGITS" part.wmap --include 'fc.*' --include 'hidden.*' --dtype float16 >/dev/null
run weightmap diff digits.wmap part.wmap --json
run weightmap diff digits.wmap absent.pt --json
