#!/usr/bin/env bash
# An index beside the checkpoint, which stays where it is and must stay what it is.
cp "$DIGITS" model.pt
run weightmap adopt model.pt
ls
run cmp model.pt "$DIGITS"
weightmap inspect model.wmap | tail -n 14
run weightmap verify model.wmap
run weightmap adopt model.pt --no-digest --json
run weightmap verify model.wmap

mkdir other
run_all weightmap adopt model.pt other/model.wmap
mv model.pt moved.pt
run_all weightmap verify model.wmap
weightmap inspect model.wmap --json | field "it['data_files'][1]['problem'][:35]"
truncate --size=1000 moved.pt
mv moved.pt model.pt
run_all weightmap verify model.wmap
echo precious >notes.txt
cp "$DIGITS" model.pt
run_all weightmap adopt model.pt notes.txt
