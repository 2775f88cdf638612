#!/usr/bin/env bash
# Stopped by a signal, nothing is left behind and the old target stays.
python3 "$CLI/make_checkpoint.py" large large.pt
convert_digits
cp digits.wmap target.wmap
for signal in SIGTERM SIGINT SIGHUP SIGKILL; do
  python3 "$CLI/interrupt.py" "$signal" "$WEIGHTMAP" convert large.pt target.wmap
  python3 "$CLI/interrupt.py" "$signal" "$WEIGHTMAP" convert large.pt new.wmap
done
python3 "$CLI/interrupt.py" SIGTERM "$WEIGHTMAP" convert large.pt new.wmap --json
cmp digits.wmap target.wmap
ls --almost-all

# Left alone by nohup: the work goes on.
(
  trap '' HUP
  python3 "$CLI/interrupt.py" --once SIGHUP "$WEIGHTMAP" convert large.pt new.wmap --no-sync >out
  tail --lines 1 out
)
python3 "$CLI/interrupt.py" SIGTERM "$WEIGHTMAP" verify new.wmap
python3 "$CLI/interrupt.py" SIGTERM "$WEIGHTMAP" diff large.pt new.wmap
