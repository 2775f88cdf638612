#!/usr/bin/env bash
# What came in, its weight file and what goes out again are equal; different files are not.
convert_digits
run weightmap diff "$DIGITS" digits.wmap
weightmap export digits.wmap digits.pt >/dev/null
run weightmap diff digits.wmap digits.pt
cp digits.wmap copy.wmap
run weightmap diff digits.wmap copy.wmap
run weightmap diff "$DATA/diff/first.pt" "$DATA/diff/second.pt"
run weightmap diff "$CHECKPOINTS/training.pt" "$DATA/checkpoints/torch-1.13/training.pt" --root model
weightmap export digits.wmap digits.safetensors --drop-extras --duplicate-ties >/dev/null
run weightmap diff digits.wmap digits.safetensors
run weightmap diff digits.wmap digits.safetensors --tensors
