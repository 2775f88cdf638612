#!/usr/bin/env bash
# Damage in a file beside the weight file is told with that file's name.
cp "$DIGITS" model.pt
weightmap adopt model.pt >/dev/null
overwrite model.pt 300000 'damage'
run_all weightmap verify model.wmap
weightmap verify model.wmap --json | field "it['damages'][0]['data_file'], it['damages'][0]['tensors']"
