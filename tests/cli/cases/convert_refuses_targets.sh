#!/usr/bin/env bash
# What is no weight file is not replaced unless asked to; the source never is.
echo precious >notes.txt
run_all weightmap convert "$DIGITS" notes.txt
cat notes.txt
run weightmap convert "$DIGITS" notes.txt --force
run weightmap verify notes.txt

cp "$DIGITS" model.pt
ln -s model.pt link.pt
ln model.pt hard.pt
run_all weightmap convert model.pt model.pt --force
run_all weightmap convert model.pt link.pt --force
run_all weightmap convert model.pt hard.pt --force
cp notes.txt model.wmap
run_all weightmap convert model.wmap
run cmp model.pt "$DIGITS"

mkdir directory
run_all weightmap convert model.pt directory --force
run_all weightmap convert model.pt nowhere/model.wmap
mkfifo fifo
run_all weightmap convert model.pt fifo --force
ls
