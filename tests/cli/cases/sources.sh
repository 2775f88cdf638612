#!/usr/bin/env bash
# Checkpoints that are not one file of torch.save: found, told what they are, converted, verified.
cp --recursive "$DATA"/sources/{safetensors,sharded,sharded_bin,distributed,distributed_chunks} .
run weightmap inspect safetensors/shapes.safetensors
run weightmap inspect sharded/model.safetensors.index.json
run weightmap inspect distributed_chunks
run weightmap inspect distributed_chunks --json
for source in safetensors/dtypes.safetensors sharded sharded_bin/pytorch_model.bin.index.json \
  distributed/.metadata distributed_chunks/; do
  run weightmap convert "$source"
done
(cd sharded && run weightmap convert . --force)
find . -name '*.wmap' | sort
for file in sharded distributed_chunks; do
  run weightmap verify "$file.wmap"
  run weightmap inspect "$file.wmap"
done
run_all weightmap convert sharded/model.safetensors.index.json sharded/model-00001-of-00002.safetensors --force
run_all weightmap inspect safetensors
mkdir empty
run_all weightmap convert empty
