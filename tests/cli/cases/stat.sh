#!/usr/bin/env bash
# Who holds what of a file: the page cache, other indexes, processes. hold.py is a process that has it.
convert_digits
hold() { python3 "$CLI/hold.py" "$@"; }
# What differs from machine to machine: other processes, page tables, who the user is.
show() {
  grep --invert-match 'could not be looked into' |
    sed -E 's/, [0-9.]+ [A-Za-z]+ (not on the disk yet|lately thrown out)//
            s/^ +([0-9]+|pid)  (python3[0-9.]*|name   ?)  +([0-9]+|user) /  <pid> <name> <user> /
            /<pid>/s/[0-9.]+ [KM]iB$/<tables>/; s/  +/  /g'
}
weightmap stat digits.wmap | show
echo "--- held, and held with three pages changed"
hold digits.wmap python3 "$CLI/hold.py" --change 3 digits.wmap "$WEIGHTMAP" stat digits.wmap | show
echo "--- replaced under who holds it"
cp digits.wmap new.wmap
hold digits.wmap bash -c 'mv new.wmap digits.wmap; weightmap stat digits.wmap' | show

echo "--- published"
cp digits.wmap new.wmap
cp digits.wmap unpublished.wmap
weightmap publish new.wmap digits.wmap >/dev/null
weightmap stat digits.wmap | sed -n 3p
weightmap stat digits.wmap --json | field "it['generation']['number'], it['generation']['is_publishing'], it['generation']['digest'] == it['digest']"
weightmap convert "$CHECKPOINTS/ties.pt" other.wmap >/dev/null
mv other.wmap digits.wmap
weightmap stat digits.wmap | sed -n 3p
printf 'junk' >digits.wmap.generation
weightmap stat digits.wmap | sed -n 3p
weightmap stat digits.wmap --json | field "it['generation']"
mv unpublished.wmap digits.wmap
rm digits.wmap.generation

echo "--- over a file that two indexes share"
cp "$DIGITS" model.pt
weightmap adopt model.pt a.wmap >/dev/null
weightmap adopt model.pt b.wmap >/dev/null
printf 'junk' >junk.wmap
weightmap stat a.wmap | sed '1,3d' | show
rm model.pt
weightmap stat a.wmap | sed '1,3d' | show

echo "--- in a pipe: $(weightmap stat digits.wmap | grep --count $'\e'), in another locale the same:"
LC_ALL=C weightmap stat digits.wmap | sed -n 5,6p
