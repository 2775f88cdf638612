#!/usr/bin/env bash
# The target's name is the source's with another extension; the same input gives the same bytes.
cp "$DIGITS" model.v2.pt
run weightmap convert model.v2.pt
run weightmap convert "$DIGITS" again.wmap
ls
run cmp model.v2.wmap again.wmap
