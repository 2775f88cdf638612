#!/usr/bin/env bash
# Shards are adopted by their index or their directory: the weight file lies beside them.
cp --recursive "$DATA"/sources/sharded .
run weightmap adopt sharded --no-sync
run weightmap verify sharded/model.wmap
rm sharded/model.wmap
run weightmap adopt sharded/model.safetensors.index.json --no-sync
(cd sharded && rm model.wmap && run weightmap adopt . --no-sync && run weightmap adopt ./ --no-sync)
find . -name '*.wmap'
cp --recursive "$DATA"/sources/distributed .
run_all weightmap adopt distributed
mkdir saved && touch saved/saved_model.pb
run_all weightmap convert saved
