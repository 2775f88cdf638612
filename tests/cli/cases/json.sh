#!/usr/bin/env bash
# One object on standard output in every case, nothing on standard error.
show() {
  echo "$ weightmap $*"
  weightmap "$@" >out
  echo "exit code $?"
  python3 -m json.tool --indent 1 out | head --lines 40
}
show convert "$DIGITS" digits.wmap --json
show verify digits.wmap --json
show inspect digits.wmap --json
show convert "$CHECKPOINTS/opaque.pt" opaque.wmap --json
show convert nowhere.pt --json
show inspect nowhere.pt --json
show verify "$DIGITS" --json
printf 'version https://git-lfs.github.com/spec/v1\n' >pointer.pt
show convert pointer.pt --json
show convert digits.wmap digits.wmap --json
overwrite digits.wmap 100000 '\377'
show verify digits.wmap --json
