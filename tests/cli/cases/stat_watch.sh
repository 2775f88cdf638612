#!/usr/bin/env bash
# Again and again, until a signal, a number of times, a failure or the reader of a pipe ends it.
convert_digits
blocks() { grep --count '^digits.wmap: weight file'; }
echo "text: $(weightmap stat digits.wmap --watch 0.01 --count 3 | blocks) blocks"
weightmap stat digits.wmap --watch 0.01 --count 2 --json |
  python3 -c 'import json, sys; print("JSON:", [json.loads(line)["size_bytes"] for line in sys.stdin])'
for signal in SIGINT SIGTERM SIGHUP; do
  python3 "$CLI/interrupt.py" --once "$signal" "$WEIGHTMAP" stat digits.wmap --watch 0.01 | tail --lines 1
done
weightmap stat digits.wmap --watch 0.01 | head --lines 1
echo "exit codes ${PIPESTATUS[*]}"
(
  trap '' PIPE
  weightmap stat digits.wmap --watch 0.01 --json | head --lines 1 | wc --lines
  echo "SIGPIPE ignored: exit codes ${PIPESTATUS[*]}"
)

echo "--- what takes the file's place is followed, and its end told"
weightmap convert "$CHECKPOINTS/ties.pt" other.wmap >/dev/null
size=$(stat --format %s other.wmap)
: >log
weightmap stat digits.wmap --watch 0.01 --json >>log &
watcher=$!
until grep --quiet '"size_bytes":678440,' log; do sleep 0.01; done
mv other.wmap digits.wmap
until grep --quiet "\"size_bytes\":$size," log; do sleep 0.01; done
rm digits.wmap
wait "$watcher"
echo "exit code $?"
tail --lines 1 log
