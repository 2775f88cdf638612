#!/usr/bin/env bash
# A composite is chosen and renamed as one key, and its parts go with it.
composites=$DATA/checkpoints/composites/torch-2.13.pt
run weightmap convert "$composites" out.wmap --include 'c*' --include quint8_float --exclude 'coo_*' \
  --exclude csr.values --rename 'cs*=sparse.cs*' --dtype bfloat16
weightmap inspect out.wmap
run weightmap export out.wmap out.pt
weightmap convert out.pt again.wmap >again.txt
for file in out.wmap again.wmap; do
  weightmap inspect "$file" | sed --quiet '/^composites/,$p' >"$file.txt"
done
run cmp out.wmap.txt again.wmap.txt
run_all weightmap convert "$composites" part.wmap --include csr.indices
run_all weightmap convert "$composites" part.wmap --include 'csr*' --rename 'csr.values=csr.col_indices'
