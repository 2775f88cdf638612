#!/usr/bin/env bash
# A checkpoint that could be converted gets the command for it.
cp "$DIGITS" "it's a model.pt"
run_all weightmap verify "$DIGITS"
run_all weightmap verify "it's a model.pt"
run_all weightmap verify "$DIGITS" --json
