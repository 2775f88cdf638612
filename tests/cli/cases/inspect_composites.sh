#!/usr/bin/env bash
# Keys that stand for several tensors: a line each, with the kind; their parts are marked.
run weightmap inspect "$DATA/composites.wmap"
weightmap inspect "$DATA/composites.wmap" --json | field "*it['composites'], sep='\n'"
weightmap inspect "$DATA/composites.wmap" --json | field "it['tensors'][0]['flags']"
run weightmap verify "$DATA/composites.wmap"
