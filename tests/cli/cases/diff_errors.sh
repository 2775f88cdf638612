#!/usr/bin/env bash
# One line and exit code 2, as diff(1) has it, whatever is wrong.
convert_digits
head -c 3000 "$DIGITS" >short.pt
head -c 3000 digits.wmap >short.wmap
echo '<html>' >page.pt
run_all weightmap diff digits.wmap absent.pt
run_all weightmap diff short.pt digits.wmap
run_all weightmap diff digits.wmap short.wmap
run_all weightmap diff page.pt digits.wmap
run_all weightmap diff digits.wmap digits.wmap --root model
run_all weightmap diff digits.wmap "$CHECKPOINTS/training.pt" --root-b nothing
run_all weightmap diff digits.wmap
run_all weightmap diff digits.wmap digits.wmap digits.wmap
{ weightmap diff digits.wmap "$DIGITS" >/dev/full; } 2>&1 || echo "exit code $?"
