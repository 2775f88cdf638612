#!/usr/bin/env bash
# Chosen tensors, new names, another dtype, and what became of it all.
run weightmap convert "$DIGITS" conv.wmap --include 'conv*' --exclude '*.bias' --rename 'conv*.weight=c*.w' --dtype bfloat16
run weightmap inspect conv.wmap
run weightmap convert "$CHECKPOINTS/training.pt" model.wmap --include 'model.*' --strip-prefix model.
run weightmap convert "$CHECKPOINTS/views.pt" views.wmap
run weightmap convert "$CHECKPOINTS/views.pt" whole.wmap --whole-storages
weightmap convert "$DIGITS" json.wmap --include 'fc.*' --json | field '[it[key] for key in ("rules", "left_out_tensors", "cast_tensors", "trimmed_bytes")]'
run_all weightmap convert "$DIGITS" no.wmap --include 'layer*'
run_all weightmap convert "$DIGITS" no.wmap --rename fc
run_all weightmap convert "$DIGITS" no.wmap --dtype int8
ls
