#!/usr/bin/env bash
convert_digits
run weightmap verify digits.wmap
weightmap convert "$CHECKPOINTS/meta.pt" meta.wmap >/dev/null
run weightmap verify meta.wmap
