#!/usr/bin/env bash
# Bytes that differ from their CRC are told; with --verify-crc they are refused.
cp "$CHECKPOINTS/bare_tensor.pt" damaged.pt
overwrite damaged.pt 707 '\100'
run weightmap convert damaged.pt
weightmap convert damaged.pt --json | field "it['crc_mismatches']"
run_all weightmap convert damaged.pt other.wmap --verify-crc
run ls
