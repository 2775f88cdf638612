#!/usr/bin/env bash
# A table fits the terminal, has colours unless NO_COLOR is set, and is plain in a pipe.
need_pseudo_terminal
terminal() { python3 "$CLI/pseudo_terminal.py" "$@"; }
widest() {
  sed 's/<esc>[^m]*m//g' | python3 -c 'import sys; print(max(len(line) for line in sys.stdin.read().split("\n")))'
}

convert_digits
weightmap convert "$CHECKPOINTS/training.pt" training.wmap >/dev/null
for columns in 40 60 80 200; do
  echo "training.wmap in $columns columns: $(terminal "$columns" "$WEIGHTMAP" inspect training.wmap | widest)"
done
echo "in a pipe, of 20: $(weightmap inspect training.wmap | COLUMNS=20 widest)"
echo "COLUMNS=50 on 80: $(COLUMNS=50 terminal 80 "$WEIGHTMAP" inspect training.wmap | widest)"
terminal 70 "$WEIGHTMAP" inspect training.wmap | head --lines 12
terminal 80 "$WEIGHTMAP" verify nowhere.wmap

escapes() { grep --count '<esc>\|'$'\e' || true; }
echo "escapes without colours: $(NO_COLOR=1 terminal 80 "$WEIGHTMAP" inspect digits.wmap | escapes)"
echo "on a dumb terminal: $(TERM=dumb terminal 80 "$WEIGHTMAP" inspect digits.wmap | escapes)"
echo "in a pipe: $(weightmap inspect digits.wmap 2>&1 | escapes), $(weightmap verify nowhere 2>&1 | escapes)"
