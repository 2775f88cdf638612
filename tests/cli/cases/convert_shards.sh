# One model over several files beside its index.
run weightmap convert "$DIGITS" out.wmap --max-shard-size 100KB
ls
for file in out-*; do run weightmap verify "$file"; done
run weightmap verify out.wmap
weightmap convert "$DIGITS" out.wmap --max-shard-size 600000 --json | field '[(file["is_shard"], file["size_bytes"], file["segments"]) for file in it["data_files"]]'
run weightmap convert "$DIGITS" out.wmap --max-shard-size 1MB
run weightmap convert "$DIGITS" half.wmap --dtype float16 --max-shard-size 1GiB
weightmap convert "$DIGITS" a.wmap --max-shard-size 50k >/dev/null
run weightmap inspect a.wmap | head -3
run weightmap convert a.wmap whole.wmap
weightmap convert "$DIGITS" direct.wmap >/dev/null
cmp whole.wmap direct.wmap && echo the same
for size in 0 -1 2X 99999999999999GiB ''; do run_all weightmap convert "$DIGITS" x.wmap --max-shard-size "$size"; done
