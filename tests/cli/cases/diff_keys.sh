#!/usr/bin/env bash
# Whether a checkpoint fits, told from names, shapes and dtypes alone, with the rename that mends it.
run weightmap inspect "$DIGITS" --spec
weightmap inspect "$DIGITS" --spec >digits.json
convert_digits
run weightmap diff --keys "$DIGITS" digits.json
run weightmap diff --keys digits.wmap "$DIGITS"

weightmap convert "$DIGITS" wrapped.wmap --rename '*=_orig_mod.module.*' >/dev/null
run weightmap diff --keys wrapped.wmap digits.json
run weightmap diff --keys wrapped.wmap digits.json --json

# What is proposed works, given to convert as it stands there.
weightmap export wrapped.wmap wrapped.pt >/dev/null
remedy=$(weightmap diff --keys wrapped.pt digits.json | sed -n 's/^remedy: convert with //p')
eval "weightmap convert wrapped.pt mended.wmap $remedy" >/dev/null
run weightmap diff --keys mended.wmap digits.json

weightmap convert "$DIGITS" turned.wmap --rename 'fc.*=old head.*' --rename '*.running_*=*.moving_*' \
  --dtype float16 >/dev/null
run weightmap diff --keys turned.wmap digits.json
weightmap export turned.wmap turned.pt >/dev/null
remedy=$(weightmap diff --keys turned.pt digits.json | sed -n 's/^remedy: convert with //p')
eval "weightmap convert turned.pt mended.wmap $remedy" >/dev/null
run weightmap diff --keys mended.wmap digits.json

weightmap convert "$DIGITS" less.wmap --exclude 'bn?.*' >/dev/null
run weightmap diff --keys less.wmap digits.json
run weightmap diff --keys less.wmap digits.json --not-strict
run weightmap diff --keys "$CHECKPOINTS/training.pt" "$DATA/checkpoints/torch-1.13/training.pt" --root model
run weightmap diff --keys "$CHECKPOINTS/training.pt" digits.json --not-strict
run weightmap diff --keys "$DATA/diff/first.pt" "$DATA/diff/second.pt"
run weightmap diff --keys "$DATA/diff/first.pt" "$DATA/diff/second.pt" --ignore-dtype

printf '# the last layer\nfc.weight\r\n\nfc.bias\n' >names.txt
run weightmap diff --keys names.txt digits.json --not-strict
run weightmap diff --keys "$DATA/sources/sharded" names.txt

# A spec is one whatever its fields' order, the white space before it, or a byte order mark.
printf '{"keys": [{"name": "fc.weight"}, {"name": "fc.bias"}], "format": "weightmap spec 1"}' >turned.json
run weightmap diff --keys names.txt turned.json
printf '\xef\xbb\xbf%400s{%400s"format": "weightmap spec 1", "keys": []}' '' '' >blank.json
run weightmap diff --keys blank.json blank.json
weightmap inspect "$DIGITS" --spec --json | cmp - digits.json && echo "a spec is JSON with and without --json"
