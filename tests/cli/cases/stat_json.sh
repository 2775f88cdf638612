#!/usr/bin/env bash
# One object, and what python's own look at smaps says of the process that holds the file.
convert_digits
cat >look.py <<'END'
import json, os, subprocess, sys

def smaps(pid, path):
    inside, sums = False, {}
    for line in open(f"/proc/{pid}/smaps"):
        words = line.split()
        if "-" in words[0]:
            inside = words[-1] == path
        elif inside and words[-1] == "kB":
            sums[words[0]] = sums.get(words[0], 0) + int(words[1]) * 1024
    return sums

found = json.loads(subprocess.run([os.environ["WEIGHTMAP"], "stat", "digits.wmap", "--json"], stdout=subprocess.PIPE, check=True).stdout)
print(list(found))
(file,) = found["data_files"]
print(list(file), list(file["cache"]))
cells = file["cache"]["cached_cells"]
print(len(cells), file["cache"]["cell_bytes"], sum(cells) == file["cache"]["cached_bytes"] == found["size_bytes"] == os.path.getsize("digits.wmap"))
(process,) = found["processes"]
print(list(process), process["pid"] == os.getppid(), process["user"] == os.geteuid(), process["name"] == open(f"/proc/{os.getppid()}/comm").read().strip())
(mapping,) = process["mappings"]
told = smaps(os.getppid(), os.path.realpath("digits.wmap"))
for name in "Rss Pss Shared_Clean Shared_Dirty Private_Clean Private_Dirty Anonymous Swap Locked".split():
    print(name, mapping[name.lower() + "_bytes"] == told[name + ":"])
print("changed pages", mapping["anonymous_bytes"] // 4096, mapping["private_dirty_bytes"] // 4096)
print("mapped", mapping["mapped_bytes"] == told["Size:"], "data file", mapping["data_file"], "older", mapping["is_older"])
END
python3 "$CLI/hold.py" --change 7 digits.wmap python3 look.py
