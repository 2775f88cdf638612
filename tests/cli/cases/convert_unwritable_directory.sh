#!/usr/bin/env bash
mkdir locked
chmod 555 locked
as_user=(env)
if [[ $(id --user) == 0 ]]; then
  # root may write everywhere; without these rights it is a user like any other.
  as_user=(setpriv '--bounding-set=-dac_override,-dac_read_search' --inh-caps=-all)
  "${as_user[@]}" true 2>/dev/null || skip "root cannot give up its rights here"
fi
"${as_user[@]}" "$WEIGHTMAP" convert "$DIGITS" locked/digits.wmap
echo "exit code $?"
ls locked
