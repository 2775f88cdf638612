# A new version as what differs from an old one; the files it refers to stay beside it.
convert_digits
run weightmap convert "$DIGITS" new.wmap --base digits.wmap
run weightmap verify new.wmap
run weightmap convert digits.wmap half.wmap --include 'conv*' --dtype float16 --base digits.wmap
weightmap convert "$DIGITS" json.wmap --exclude 'fc*' --exclude 'head*' >/dev/null
weightmap convert "$DIGITS" json2.wmap --base json.wmap --json | field '[it[key] for key in ("reused_segments", "reused_bytes", "written_bytes", "left_shards")]'
weightmap convert "$DIGITS" json2.wmap --base json.wmap --json | field 'it["data_files"]'
run weightmap inspect json2.wmap | head -3
run weightmap diff json2.wmap "$DIGITS"
run weightmap convert new.wmap whole.wmap
cmp whole.wmap digits.wmap && echo the same
run weightmap export new.wmap new.pt
weightmap export digits.wmap digits.pt >/dev/null
cmp new.pt digits.pt && echo the same
mkdir elsewhere
run_all weightmap convert "$DIGITS" elsewhere/new.wmap --base digits.wmap
run_all weightmap convert "$DIGITS" digits.wmap --base new.wmap --force
run_all weightmap convert "$DIGITS" x.wmap --base digits.pt
run_all weightmap convert "$DIGITS" x.wmap --base
mv digits.wmap moved.wmap
run_all weightmap verify new.wmap
