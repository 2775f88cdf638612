#!/usr/bin/env bash
# A bar while work takes longer than a second, on a terminal only, gone at the end.
need_pseudo_terminal
python3 "$CLI/make_checkpoint.py" large large.pt
bars() { grep --only-matching --extended-regexp '[a-z]+ +[0-9]+% \[#* *\] [^<]* s left'; }
as_pattern() { sed -E 's/ +[0-9]+%/ N%/; s/\[#* *\]/[###]/; s/[0-9]+(\.[0-9])? (B|KiB|MiB|GiB) of/N of/; s/[0-9]+ s left/N s left/'; }

export PAUSE=1
for command in "convert large.pt --no-sync" "verify large.wmap" "diff large.pt large.wmap"; do
  for _ in {1..20}; do
    # shellcheck disable=SC2086 # a command line
    python3 "$CLI/pseudo_terminal.py" 100 "$WEIGHTMAP" $command >out
    grep --quiet '%' out && break
  done
  bars <out | head --lines 1 | as_pattern
  grep --quiet 's left<cr><esc>\[K[a-z]* ' out && echo "gone at the end"
done
python3 "$CLI/pseudo_terminal.py" 100 env TERM=dumb "$WEIGHTMAP" verify large.wmap >out
echo "on a dumb terminal: $(grep --count '%' out)"
