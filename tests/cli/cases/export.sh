#!/usr/bin/env bash
# To a checkpoint and back gives the same weight file; zipfile and unzip take the archive.
convert_digits
run weightmap export digits.wmap exported.pt
run weightmap convert exported.pt again.wmap
run cmp digits.wmap again.wmap
python3 -c "import zipfile; print(zipfile.ZipFile('exported.pt').testzip())"
run weightmap export digits.wmap whatever --format torch
run cmp exported.pt whatever
