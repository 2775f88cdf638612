"""Compares what `inspect` shows of plain Python and numpy objects with what Python says of them."""

import json
import os
import subprocess
from pathlib import Path

WEIGHTMAP = os.environ["WEIGHTMAP"]
OBJECTS = Path(os.environ["DATA"]) / "checkpoints" / "objects"


def shown(checkpoint, group):
    command = [WEIGHTMAP, "inspect", checkpoint, "--root", group]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "opaque" not in text, text
    return dict(line.strip().split(": ", 1) for line in text.splitlines() if line.startswith("  "))


def main():
    checkpoints = sorted(OBJECTS.glob("*.pt"))
    assert len(checkpoints) == 2
    for checkpoint in checkpoints:
        for group, expected in json.loads(checkpoint.with_suffix(".shown.json").read_text()).items():
            found = shown(checkpoint, group)
            for key in expected.keys() | found.keys():
                assert expected.get(key) == found.get(key), f"{key}: {expected.get(key)} vs {found.get(key)}"
    print(f"{len(checkpoints)} checkpoints are shown as Python shows them")


main()
