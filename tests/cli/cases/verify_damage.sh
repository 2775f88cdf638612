#!/usr/bin/env bash
# A changed byte is told with its tensors, ties included, wherever it is.
convert_digits
offset_of() {
  weightmap inspect digits.wmap --json |
    field "next(t for t in it['tensors'] if t['name'] == '$1')['$2']"
}

damage() {
  cp digits.wmap damaged.wmap
  overwrite damaged.wmap "$1" '\125\252\125'
  run_all weightmap verify damaged.wmap
}

damage $(($(offset_of fc.weight offset_bytes) + 17))
damage $(($(offset_of conv1.weight offset_bytes) + 1000))
echo "padding between segments"
damage $(($(offset_of bn1.num_batches_tracked offset_bytes) + 20))
echo "header, index, extras"
damage 40
damage 200
damage $(($(offset_of conv1.weight offset_bytes) - 200))

echo "two places"
overwrite digits.wmap "$(offset_of conv1.bias offset_bytes)" '\125\252'
overwrite digits.wmap "$(offset_of conv2.bias offset_bytes)" '\125\252'
run_all weightmap verify digits.wmap
weightmap verify digits.wmap --json | field '[damage["tensors"] for damage in it["damages"]]'
