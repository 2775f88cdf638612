#!/usr/bin/env bash
# One JSON object, whether it works or not.
convert_digits
run weightmap export digits.wmap out.pt --json
run weightmap export "$DATA/features.wmap" out.pt --json
