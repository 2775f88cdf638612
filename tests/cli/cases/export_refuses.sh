#!/usr/bin/env bash
# Targets that are something else, opaque objects, sources that are no weight file, unknown formats.
convert_digits
echo "not to be lost" >notes.pt
run_all weightmap export digits.wmap notes.pt
cat notes.pt
run_all weightmap export digits.wmap digits.wmap --format torch --force
run_all weightmap export "$DIGITS" out.pt
run_all weightmap export missing.wmap out.pt
run_all weightmap export digits.wmap out.onnx
run_all weightmap export digits.wmap digits.wmap
run_all weightmap export digits.wmap out.pt --format onnx
run_all weightmap export digits.wmap out.safetensors --align 100
run_all weightmap export "$DATA/features.wmap" out.pt
run_all weightmap export "$DATA/features.wmap" out.pt --drop-opaque
