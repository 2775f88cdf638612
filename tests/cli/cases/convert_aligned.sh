#!/usr/bin/env bash
for align in 64 4096 4k 2MiB; do
  run weightmap convert "$DIGITS" "$align.wmap" --align "$align" --no-sync
  weightmap inspect "$align.wmap" --json | field 'it["alignment_bytes"], max(
    tensor["offset_bytes"] % it["alignment_bytes"] for tensor in it["tensors"])'
done
