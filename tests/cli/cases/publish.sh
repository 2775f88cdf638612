#!/usr/bin/env bash
# A name that is served: published to three times, over a link too, by text and JSON.
fresh() { weightmap convert "$DIGITS" "$1" >/dev/null; }

fresh new.wmap
run weightmap publish new.wmap model.wmap
fresh new.wmap
run weightmap publish new.wmap model.wmap --no-verify --no-sync --wait --json
ln -s model.wmap link.wmap
fresh new.wmap
weightmap publish new.wmap link.wmap --json | field '[it["path"], it["generation"], it["replaced"]]'
run ls
run stat --format='%n %s' model.wmap.generation
weightmap verify link.wmap | tail -n 1
run weightmap publish --help
