#!/usr/bin/env bash
# On a terminal lines fit, cells are blocks if it can show them, and a watch is drawn in one place.
need_pseudo_terminal
convert_digits
terminal() { python3 "$CLI/pseudo_terminal.py" "$@"; }
plain() { sed 's/<esc>[^mHJK]*[mHJK]//g'; }
widest() { plain | python3 -c 'import sys; print(max(len(line) for line in sys.stdin.read().split("\n")))'; }
for columns in 20 40 70 100; do
  echo "in $columns columns: $(terminal "$columns" "$WEIGHTMAP" stat digits.wmap | widest)"
done
terminal 60 "$WEIGHTMAP" stat digits.wmap | sed -n 5,6p
for locale in C POSIX de_DE de_DE.utf8; do
  echo "$locale: $(terminal 60 env LC_ALL="$locale" "$WEIGHTMAP" stat digits.wmap | sed -n 5p)"
done
echo "LANG alone: $(terminal 60 env --unset LC_ALL LANG=C.UTF-8 "$WEIGHTMAP" stat digits.wmap | sed -n 5p)"

echo "cells of JSON: $(terminal 30 "$WEIGHTMAP" stat digits.wmap --json | field "len(it['data_files'][0]['cache']['cached_cells'])")"

echo "--- watch"
ROWS=5 terminal 60 "$WEIGHTMAP" stat digits.wmap --watch 0.01 --count 2 | cut --characters 1-40
echo "on a dumb terminal: $(TERM=dumb terminal 60 "$WEIGHTMAP" stat digits.wmap --watch 0.01 --count 2 | grep --count '<esc>')"
python3 "$CLI/hold.py" digits.wmap env NO_COLOR=1 python3 "$CLI/pseudo_terminal.py" 60 "$WEIGHTMAP" stat digits.wmap | grep --count '<esc>'
python3 "$CLI/hold.py" digits.wmap python3 "$CLI/pseudo_terminal.py" 30 "$WEIGHTMAP" stat digits.wmap | grep --count '<esc>\[1m *pid  name'
