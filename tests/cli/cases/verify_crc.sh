#!/usr/bin/env bash
# Bytes without a digest, in an archive that has CRCs of them.
cp "$DIGITS" model.pt
weightmap adopt model.pt --no-digest >/dev/null
run weightmap verify model.wmap
offset=$(weightmap inspect model.wmap --json | field "[t['offset_bytes'] for t in it['tensors'] if t['name'] == 'fc.bias'][0]")
overwrite model.pt "$offset" '\xEE'
run_all weightmap verify model.wmap
weightmap verify model.wmap --json | field "it['ok'], it['segments_checked_by_crc'], it['segments_without_digest'], [d['tensors'] for d in it['damages']]"

cp "$DATA/checkpoints/containers/zip_without_crcs.pt" unknown.pt
weightmap adopt unknown.pt --no-digest >/dev/null
run weightmap verify unknown.wmap
