#!/usr/bin/env bash
mkdir directory
: >empty
for command in convert inspect verify; do
  run_all weightmap "$command" nowhere.pt
  run_all weightmap "$command" directory
  run_all weightmap "$command" empty
done
run_all weightmap inspect ''
run_all weightmap inspect verify # a file that is named as a command
run_all weightmap inspect -- --json
ls
