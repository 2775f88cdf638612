#!/usr/bin/env bash
# What is proposed puts every tensor where it belongs: each has a value of its own, which is compared
# after the convert. Both files have their tensors in an order of their own.
python3 - <<'END'
import json
import struct


def write(path, tensors):
    """tensors: name, shape, value of every element"""
    header, data = {}, b""
    for name, shape, value in tensors:
        count = 1
        for size in shape:
            count *= size
        begin = len(data)
        data += struct.pack("<f", value) * count
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def write_pair(case, names):
    """names: wanted name, found name, shape"""
    numbered = list(enumerate(names, 1))
    write(f"{case}.wanted.safetensors", [(w, shape, n) for n, (w, _, shape) in reversed(numbered)])
    write(f"{case}.found.safetensors", [(f, shape, n) for n, (_, f, shape) in numbered])


write_pair("stacks", [(f"{stack}.layers.{i}.{leaf}", f"{stack}.layers.{i + 1}.{leaf}", shape)
                      for stack in ("encoder", "decoder") for i in range(6)
                      for leaf, shape in (("q.weight", [4, 4]), ("k.weight", [4, 4]), ("b", [4]))])
write_pair("attention", [(f"l.{i}.{w}.weight", f"l.{i}.{f}.weight", [4, 4]) for i in range(4)
                         for w, f in (("k_proj", "key"), ("q_proj", "query"),
                                      ("v_proj", "value"), ("o_proj", "dense"))])
write_pair("norm", [("n.bias", "n.b", [4]), ("n.weight", "n.g", [4])])
write_pair("shift", [("n.shift", "n.bias", [4]), ("n.scale", "n.weight", [4])])
write_pair("every_second", [(f"l.{i}.w", f"l.{2 * i}.w", [4, 4]) for i in range(4)])
write_pair("swiglu", [(f"l.{i}.{w}.weight", f"l.{i}.{f}.weight", shape) for i in range(4)
                      for w, f, shape in (("gate", "w1", [8, 4]), ("down", "w2", [4, 8]),
                                          ("up", "w3", [8, 4]))])
write_pair("alike", [(f"dec.{i}.w", f"b.{i}.w", [4]) for i in range(2)])
write("alike.found.safetensors", [(f"{stack}.{i}.w", [4], 0) for i in range(2) for stack in "ab"])
END
for case in stacks attention norm shift every_second swiglu; do
  weightmap diff --keys "$case.found.safetensors" "$case.wanted.safetensors" >told.txt
  grep -E '^(cause|remedy|  then)' told.txt
  remedy=$(sed -n 's/^remedy: convert with //p' told.txt)
  eval "weightmap convert $case.found.safetensors $case.wmap $remedy" >/dev/null
  run weightmap diff --tensors "$case.wmap" "$case.wanted.safetensors" | grep -v '^time'
done
run weightmap diff --keys alike.found.safetensors alike.wanted.safetensors
