#!/usr/bin/env bash
# Nothing changes, and the next step is told.
convert_digits
weightmap convert "$CHECKPOINTS/ties.pt" new.wmap >/dev/null
digest=$(sha256sum digits.wmap)

run_all weightmap publish "$DIGITS" digits.wmap
run_all weightmap publish none.wmap digits.wmap --json
run_all weightmap publish digits.wmap digits.wmap
ln -s new.wmap link.wmap
run_all weightmap publish link.wmap digits.wmap
cp "$DIGITS" other.pt
run_all weightmap publish new.wmap other.pt
cp new.wmap damaged.wmap
overwrite damaged.wmap "$(($(stat --format=%s damaged.wmap) - 1))" '\xff'
run_all weightmap publish damaged.wmap digits.wmap

# A second one while the first is at it: the lock is on the block.
head --bytes=4096 /dev/zero >digits.wmap.generation
run_all weightmap publish new.wmap digits.wmap
rm digits.wmap.generation
weightmap convert "$CHECKPOINTS/ties.pt" first.wmap >/dev/null
weightmap publish first.wmap digits.wmap >/dev/null
flock digits.wmap.generation "$WEIGHTMAP" publish new.wmap digits.wmap 2>&1
echo "exit code $?"
flock digits.wmap.generation python3 "$CLI/interrupt.py" SIGINT "$WEIGHTMAP" publish \
  new.wmap digits.wmap --wait --no-verify 2>&1
run_all weightmap publish new.wmap
ls
[[ $digest != "$(sha256sum digits.wmap)" ]] && echo "published once"
