#!/usr/bin/env bash
# A damaged weight file leaves the old target as it was.
convert_digits
run weightmap export digits.wmap out.pt >/dev/null
cp out.pt before.pt
overwrite digits.wmap 100000 '\xff\xff\xff\xff'
run_all weightmap export digits.wmap out.pt
run_all weightmap export digits.wmap out.safetensors --duplicate-ties --drop-extras
cmp out.pt before.pt
ls
