#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A second reader of weight files, from schema/FORMAT.md alone.

Checks a file and prints what it holds as JSON, or exits with 1 and the rule that the file breaks.
Needs the program xxhsum (Debian: package xxhash).
"""

import argparse
import json
import math
import os
import re
import struct
import subprocess
import sys
import tempfile
from collections import Counter, namedtuple
from types import SimpleNamespace

NO_SEGMENT = 0xFFFFFFFF
CHUNK = 16 << 20
NOT_RECORDED = bytes(16)
FILE_KINDS = ["self", "wmap", "zip", "safetensors"]
FLAGS = "parameter buffer requires_grad conj neg part meta uninitialized".split()
PARAMETER, BUFFER, _, CONJ, NEG, PART, META, UNINITIALIZED = (1 << bit for bit in range(8))
WORDS = """uint8 int8 int16 int32 int64 float16 float32 float64 complex32 complex64 complex128 bool
    qint8 quint8 qint32 bfloat16 quint4x2 quint2x4 bits1x8 bits2x4 bits4x2 bits8 bits16 float8_e5m2
    float8_e4m3fn float8_e5m2fnuz float8_e4m3fnuz uint16 uint32 uint64 uint1 uint2 uint3 uint4 uint5
    uint6 uint7 int1 int2 int3 int4 int5 int6 int7 float8_e8m0fnu float4_e2m1fn_x2
    bcomplex32""".split()
BITS = [8, 8, 16, 32, 64, 16, 32, 64, 32, 64, 128, 8, 8, 8, 32, 16, 4, 2, 8, 8, 8, 8, 16, 8, 8, 8,
        8, 16, 32, 64, *14 * [8], 8, 8, 32]
PACKED = {"quint4x2", "quint2x4", "bits1x8", "bits2x4", "bits4x2", "float4_e2m1fn_x2"}
COMPOSITES = """quantized_per_tensor quantized_per_channel quantized_per_channel_float sparse_coo
    sparse_csr sparse_csc sparse_bsr sparse_bsc nested wrapper_subclass""".split()
KINDS = """none bool int int float complex str bytes bytearray list tuple set frozenset dict
    ordered_dict counter default_dict size dtype device global tensor composite opaque
    object""".split()
LONG_INT, NONE, TUPLE, LIST, DICT = 3, 0, 10, 9, 13

Header = namedtuple("Header", "magic major minor header_size features index_offset index_size "
                    "extras_offset extras_size blob_offset blob_size alignment reserved "
                    "index_digest digest")
Entry = namedtuple("Entry", "hash offset segment name_begin shape_begin strides_begin name_size "
                   "flags dtype rank reserved")
Segment = namedtuple("Segment", "offset size")
DataFile = namedtuple("DataFile", "name kind size alignment identity first count")
Composite = namedtuple("Composite", "name kind dtype flags shape parts reals integers class_name")
Node = namedtuple("Node", "number first_child child_count text_begin text_size kind flags reserved")


class Broken(Exception):
    pass


def need(condition, rule, what):
    if not condition:
        raise Broken(f"{rule}: {what}")


def up(number, multiple):
    return -(-number // multiple) * multiple


def ascends(values):
    return all(a < b for a, b in zip(values, values[1:]))


# Hashes. Many in one run of xxhsum, since each run costs a process.

def hash_files(algorithm, folder, blobs):
    for number, blob in enumerate(blobs):
        with open(os.path.join(folder, str(number)), "wb") as file:
            file.write(blob)
    command = ["xxhsum", algorithm, *map(str, range(len(blobs)))]
    # Captured too, since xxhsum clears the line of its progress on stderr even where it shows none.
    lines = subprocess.run(command, cwd=folder, capture_output=True, check=True).stdout
    # Versions of xxhsum frame XXH3-64 in different ways: "XXH3 (name) = hex", "XXH3_hex  name".
    found = re.findall(rb"^(?:XXH3 \(\d+\) = |XXH3_)?([0-9a-f]+)", lines, re.MULTILINE)
    return [bytes.fromhex(line.decode()) for line in found]


def hashes(algorithm, blobs):
    result = []
    for begin in range(0, len(blobs), 4096):
        with tempfile.TemporaryDirectory() as folder:
            result += hash_files(algorithm, folder, blobs[begin:begin + 4096])
    return result


def digest(blob):
    return hashes("-H2", [blob])[0]


# FlatBuffers. What is absent reads as 0 or empty; what lies outside raises IndexError.

def cut(buf, at, size):
    if at < 0 or at + size > len(buf):
        raise IndexError(f"bytes {at} to {at + size} of {len(buf)}")
    return buf[at:at + size]


def scalar(buf, at, code):
    return struct.unpack("<" + code, cut(buf, at, struct.calcsize("<" + code)))[0]


def root(buf, identifier):
    if cut(buf, 4, 4) != identifier:
        raise IndexError("wrong identifier")
    return scalar(buf, 0, "I")


def field(buf, table, slot):
    vtable, place = table - scalar(buf, table, "i"), 4 + 2 * slot
    offset = scalar(buf, vtable + place, "H") if place < scalar(buf, vtable, "H") else 0
    return table + offset if offset else None


def number(buf, table, slot, code):
    at = field(buf, table, slot)
    return scalar(buf, at, code) if at else scalar(bytes(16), 0, code)


def rows(buf, table, slot, code, row=None):
    at = field(buf, table, slot)
    if not at:
        return []
    at += scalar(buf, at, "I")
    data = cut(buf, at + 4, scalar(buf, at, "I") * struct.calcsize("<" + code))
    found = struct.iter_unpack("<" + code, data)
    return [row(*values) for values in found] if row else [value for value, in found]


def pool(buf, table, slot):
    return b"".join(rows(buf, table, slot, "c"))


def tables(buf, table, slot, read):
    at = field(buf, table, slot)
    start = at + scalar(buf, at, "I") + 4 if at else 0
    places = (start + 4 * i + to for i, to in enumerate(rows(buf, table, slot, "I")))
    return [read(buf, place) for place in places]


def read_data_file(buf, at):
    codes = ((1, "B"), (2, "Q"), (3, "I"), (4, "16s"), (5, "I"), (6, "I"))
    return DataFile(pool(buf, at, 0), *(number(buf, at, slot, code) for slot, code in codes))


def read_part(buf, at):
    return pool(buf, at, 0), number(buf, at, 1, "I")


def read_composite(buf, at):
    plain = (number(buf, at, slot, code) for slot, code in ((1, "B"), (2, "B"), (3, "H")))
    return Composite(pool(buf, at, 0), *plain, rows(buf, at, 4, "q"), tables(buf, at, 5, read_part),
                     rows(buf, at, 6, "d"), rows(buf, at, 7, "q"), pool(buf, at, 8))


def read_index(buf):
    at = root(buf, b"WMIX")
    return SimpleNamespace(
        entries=rows(buf, at, 0, "QQIIIIHHBBH", Entry), raw_entries=rows(buf, at, 0, "40s"),
        names=pool(buf, at, 1), dims=rows(buf, at, 2, "q"), order=rows(buf, at, 3, "II", tuple_of),
        buckets=rows(buf, at, 4, "I"), segments=rows(buf, at, 5, "QQ", Segment),
        data_files=tables(buf, at, 6, read_data_file),
        composites=tables(buf, at, 7, read_composite),
        modules=rows(buf, at, 8, "qII", tuple_of), module_paths=pool(buf, at, 9),
        structure_digest=number(buf, at, 10, "16s"), extras_digest=number(buf, at, 11, "16s"))


def tuple_of(*values):
    return values


def read_extras(buf):
    at = root(buf, b"WMEX")
    return SimpleNamespace(
        segment_digests=rows(buf, at, 0, "16s"), chunk_digests=rows(buf, at, 1, "16s"),
        nodes=rows(buf, at, 2, "QIIIIBB6s", Node), children=rows(buf, at, 3, "I"),
        text=pool(buf, at, 4))


def parse(read, buf, rule):
    try:
        return read(buf)
    except IndexError as error:
        raise Broken(f"{rule}: {error}") from error


# Rules of the header and the index

def read_header(file):
    need(file[:8] == b"\x89WMAP\r\n\x1a", "R1", "not a weight file")
    need(len(file) >= 128, "R7", "shorter than a header")
    return Header(*struct.unpack("<8sHHIQQQQQQQI20s16s16s", file[:128]))


def check_header(h, file):
    need(h.digest == digest(file[:112]), "R2", "digest of the header")
    need(h.major == 1 and h.header_size == 128, "R3", f"version {h.major}.{h.minor}")
    need(h.features < 16, "R4", f"features {h.features:#x}")
    need(not any(h.reserved), "R5", "reserved bytes of the header")
    need(is_alignment(h.alignment) and h.alignment >= 64, "R6", f"alignment {h.alignment}")
    need(0 < h.index_size < 1 << 31 and 0 < h.extras_size < 1 << 31, "R7", "sizes of the parts")
    need(h.index_offset == 128, "R7", "place of the index")
    need(h.extras_offset == up(128 + h.index_size, 8), "R7", "place of the extras")
    blob = up(h.extras_offset + h.extras_size, h.alignment)
    need(h.blob_offset == blob, "R7", "place of the blob")
    need(h.blob_offset + h.blob_size == len(file), "R7", "end of the blob")


def is_alignment(value):
    return 0 < value <= 2 << 20 and value & (value - 1) == 0


def bucket_bits(index):
    return max(len(index.entries).bit_length() - 1, 0)


def check_counts(index):
    need(len(index.order) == len(index.entries), "R10", "number of places in `order`")
    need(len(index.buckets) == 2 ** bucket_bits(index) + 1, "R10", "number of buckets")
    need(index.data_files, "R10", "no data file")
    need(any(index.structure_digest) and any(index.extras_digest), "R10", "a digest is not there")


def check_data_files(index, h, size):
    own, *others = index.data_files
    need(own[:5] == (b"", 0, size, h.alignment, NOT_RECORDED), "R11", "the first data file")
    need(len({f.name for f in others}) == len(others), "R11", "two data files of one name")
    for f in others:
        need(0 < f.kind < 4 and is_alignment(f.alignment), "R11", "kind, alignment of a data file")
        need(f.name not in (b".", b"..") and b"/" not in f.name, "R11", f"name {f.name}")
        check_name(f.name, 255, "R11")
    begins = [sum(f.count for f in index.data_files[:i]) for i in range(len(others) + 1)]
    need([f.first for f in index.data_files] == begins, "R11", "ranges of segments")
    need(begins[-1] + index.data_files[-1].count == len(index.segments), "R11", "lost segments")


def segments_of(index, f):
    return index.segments[f.first:f.first + f.count]


def check_segments(index, h):
    for f in index.data_files:
        end = 0
        for s in segments_of(index, f):
            need(s.size and end <= s.offset <= f.size - s.size, "R12", f"place of {s}")
            need(s.offset % f.alignment == 0, "R12", f"alignment of {s}")
            end = s.offset + s.size
    end = h.blob_offset
    for s in segments_of(index, index.data_files[0]):
        need(s.offset == up(end, h.alignment), "R12", f"gap before {s}")
        end = s.offset + s.size
    need(end == h.blob_offset + h.blob_size, "R12", "the segments do not fill the blob")


def check_name(name, most, rule):
    need(0 < len(name) <= most and b"\0" not in name, rule, f"name {name}")
    return decode(name, rule)


def decode(data, rule):
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Broken(f"{rule}: not UTF-8: {data}") from error


def pieces(spans, whole, rule):
    """The parts of a pool whose parts stand one after another and cover it."""
    end, found = 0, []
    for begin, size in spans:
        need(begin == end and end + size <= len(whole), rule, f"begin of {begin}, not {end}")
        found.append(whole[begin:begin + size])
        end += size
    need(end == len(whole), rule, "not all is covered")
    return found


def check_order(index):
    need(all(entry < len(index.entries) for _, entry in index.order), "R15", "an unknown entry")
    ordered = [index.entries[entry].hash for _, entry in index.order]
    need(ascends(ordered), "R15", "`order` does not ascend")
    need([top for top, _ in index.order] == [h >> 32 for h in ordered], "R15", "upper 32 bits")
    counts, begin = Counter(h >> 64 - bucket_bits(index) for h in ordered), 0
    for bucket, place in enumerate(index.buckets):
        need(place == begin, "R15", f"bucket {bucket}")
        begin += counts[bucket]


def check_entry(entry):
    need(entry.dtype < len(WORDS) and entry.rank <= 64, "R16", f"dtype, rank of {entry}")
    need(entry.flags < 256 and not entry.reserved, "R16", f"flags, reserved of {entry}")
    for both in (PARAMETER | BUFFER, META | UNINITIALIZED):
        need(entry.flags & both != both, "R16", f"flags of {entry}")
    need(not entry.flags & CONJ or "complex" in WORDS[entry.dtype], "R16", f"conj of {entry}")
    need(not entry.flags & UNINITIALIZED or not entry.rank, "R16", f"shape of {entry}")


def dims_of(index, begin, rank):
    need(begin + rank <= len(index.dims), "R17", f"dims {begin} to {begin + rank}")
    dims = index.dims[begin:begin + rank]
    need(all(size >= 0 for size in dims), "R17", f"dims {dims}")
    return dims


def extent(entry, shape, strides):
    """Bytes from the first to the last one that the elements touch."""
    need(math.prod(shape) < 1 << 63, "R17", f"shape {shape}")
    if entry.segment == NO_SEGMENT or 0 in shape:
        return 0
    last = sum((size - 1) * stride for size, stride in zip(shape, strides))
    return up((last + 1) * BITS[entry.dtype], 8) // 8


def check_place(index, entry, tensor):
    valueless = entry.flags & (META | UNINITIALIZED)
    if entry.segment == NO_SEGMENT:
        need(not entry.offset and (valueless or 0 in tensor.shape), "R18", f"no place of {entry}")
        return
    need(entry.segment < len(index.segments) and not valueless, "R18", f"segment of {entry}")
    need(entry.offset % max(BITS[entry.dtype] // 8, 1) == 0, "R18", f"alignment of {entry}")
    room = index.segments[entry.segment].size
    need(entry.offset + tensor.extent <= room, "R18", f"{tensor} is not inside its segment")


def make_tensor(index, entry, name):
    shape = dims_of(index, entry.shape_begin, entry.rank)
    strides = dims_of(index, entry.strides_begin, entry.rank)
    return SimpleNamespace(name=check_name(name, 65535, "R13"), shape=shape, strides=strides,
                           extent=extent(entry, shape, strides))


def check_composite(index, c):
    check_name(c.name, 65535, "R19")
    need(b"\0" not in c.class_name, "R19", f"class of {c}")
    decode(c.class_name, "R19")
    need(c.kind < len(COMPOSITES) and c.dtype < len(WORDS) and c.flags < 256, "R19", f"{c}")
    need(c.flags & (PARAMETER | BUFFER) != PARAMETER | BUFFER, "R19", f"flags of {c}")
    need(not c.flags & CONJ or "complex" in WORDS[c.dtype], "R19", f"conj of {c}")
    need(all(n >= 0 for n in c.shape) and math.prod(c.shape) < 1 << 63, "R19", f"shape of {c}")
    need(len(c.shape) <= 64 and c.parts, "R19", f"dimensions, parts of {c}")
    for role, _ in c.parts:
        check_name(role, 255, "R19")
    need(len({role for role, _ in c.parts}) == len(c.parts), "R19", f"roles of {c}")


def check_composites(index, names):
    for c in index.composites:
        check_composite(index, c)
    keys = [c.name for c in index.composites]
    need(ascends(keys) and not set(keys) & set(names), "R19", "names of composites")
    used = sorted(entry for c in index.composites for _, entry in c.parts)
    need(used == [i for i, entry in enumerate(index.entries) if entry.flags & PART], "R19", "parts")


def check_features(index, features):
    typed = index.entries + index.composites
    used = [index.composites, any(one.flags & (CONJ | NEG) for one in typed),
            len(index.data_files) > 1, any(WORDS[one.dtype] in PACKED for one in typed)]
    need(features == sum(1 << i for i, bit in enumerate(used) if bit), "R21", f"{features:#x}")


def structure_of_composite(c):
    lists = c.name, c.class_name, c.shape, c.reals, c.integers, c.parts
    roles = b"".join(struct.pack("<2Q", entry, len(role)) + role for role, entry in c.parts)
    return b"".join([struct.pack("<9Q", c.kind, c.dtype, c.flags, *map(len, lists)), c.name,
                     c.class_name, struct.pack(f"<{len(c.shape)}q", *c.shape),
                     struct.pack(f"<{len(c.reals)}d", *c.reals),
                     struct.pack(f"<{len(c.integers)}q", *c.integers), roles])


def check_structure(index):
    dims = struct.pack(f"<{len(index.dims)}q", *index.dims)
    facts = [struct.pack("<Q", len(index.entries)), *(raw[24:] for raw in index.raw_entries)]
    composites = map(structure_of_composite, index.composites)
    found = digest(b"".join([*facts, index.names, dims, *composites]))
    need(found == index.structure_digest, "R22", "structure digest")


def check_index(index, h, size):
    check_counts(index)
    check_data_files(index, h, size)
    check_segments(index, h)
    names = pieces([(e.name_begin, e.name_size) for e in index.entries], index.names, "R13")
    for entry, name, value in zip(index.entries, names, hashes("-H3", names)):
        need(entry.hash == int.from_bytes(value, "big"), "R14", f"hash of {name}")
    check_order(index)
    for entry in index.entries:
        check_entry(entry)
    index.tensors = [make_tensor(index, e, name) for e, name in zip(index.entries, names)]
    for entry, tensor in zip(index.entries, index.tensors):
        check_place(index, entry, tensor)
    check_composites(index, names)
    paths = pieces([span for _, *span in index.modules], index.module_paths, "R20")
    need(ascends(paths) and b"\0" not in index.module_paths, "R20", "paths of modules")
    index.paths = [decode(path, "R20") for path in paths]
    check_features(index, h.features)
    check_structure(index)


# Rules of the extras

def chunk_count(size):
    return up(size, CHUNK) // CHUNK if size > CHUNK else 0


def check_digest_counts(index, extras):
    need(len(extras.segment_digests) in (0, len(index.segments)), "R25", "segment digests")
    recorded = [s.size for s, d in zip(index.segments, extras.segment_digests) if d != NOT_RECORDED]
    need(len(extras.chunk_digests) == sum(map(chunk_count, recorded)), "R25", "chunk digests")


def make_node(index, extras, place, node):
    """A node as printed, once its parts are inside the pools and fit its kind."""
    need(node.kind < len(KINDS) and node.flags < 2 and not any(node.reserved), "R26", f"{node}")
    need(node.first_child + node.child_count <= len(extras.children), "R26", f"children of {node}")
    need(node.text_begin + node.text_size <= len(extras.text), "R26", f"text of {node}")
    children = extras.children[node.first_child:node.first_child + node.child_count]
    need(all(child < place for child in children), "R26", f"children of {node} behind it")
    need(not node.flags or children and extras.nodes[children[-1]].kind == DICT, "R26", f"{node}")
    attributes = children.pop() if node.flags else None
    kinds = [extras.nodes[child].kind for child in children]
    need(children_fit(KINDS[node.kind], kinds), "R26", f"children of {node}: {kinds}")
    text = extras.text[node.text_begin:node.text_begin + node.text_size]
    need(text_fits(node.kind, text), "R26", f"text of {node}: {text}")
    need(node.number < numbers_below(index, node.kind), "R26", f"number of {node}")
    result = {"kind": KINDS[node.kind], "value": value(index, node.kind, node.number, text),
              "children": children, "attributes": attributes}
    return {**result, "factory": dotted(text) or None} if node.kind == 16 else result


def children_fit(word, kinds):
    if word in ("dict", "ordered_dict", "counter", "default_dict"):
        return len(kinds) % 2 == 0
    if word in ("opaque", "object"):
        wanted = ((NONE, TUPLE), (NONE, DICT), range(len(KINDS)), (NONE, LIST), (NONE, DICT))
        return len(kinds) == 5 and all(kind in some for kind, some in zip(kinds, wanted))
    if word == "size":
        return all(KINDS[kind] == "int" for kind in kinds)
    return not kinds or word in ("list", "tuple", "set", "frozenset")


def text_fits(kind, text):
    word = KINDS[kind]
    if kind == LONG_INT or word == "complex":
        return len(text) > 8 if kind == LONG_INT else len(text) == 16
    if word in ("str", "device", "global", "opaque", "object", "default_dict"):
        decode(text, "R26")
    if word in ("global", "opaque", "object"):
        return text.count(b"\n") == 1
    if word == "default_dict":
        return not text or text.count(b"\n") == 1
    return not text or word in ("str", "bytes", "bytearray", "device")


def numbers_below(index, kind):
    return {1: 2, 2: 1 << 64, 4: 1 << 64, 18: len(WORDS), 21: len(index.entries),
            22: len(index.composites)}.get(kind, 1)


# Rules of the bytes

def check_padding(index, h, file):
    parts = [(128, h.index_size), (h.extras_offset, h.extras_size),
             *segments_of(index, index.data_files[0]), (len(file), 0)]
    for (begin, size), (end, _) in zip(parts, parts[1:]):
        need(not any(file[begin + size:end]), "R27", f"padding before {end}")


def zip_directory(data):
    end = data.rfind(b"PK\5\6")
    while end >= 0 and end + 22 + scalar(data, end + 20, "H") > len(data):
        end = data.rfind(b"PK\5\6", 0, end)
    begin = scalar(data, end + 16, "I")
    if end >= 20 and data[end - 20:end - 16] == b"PK\6\7":
        begin = scalar(data, scalar(data, end - 12, "Q") + 48, "Q")
    return data[begin:]


def identity(kind, data):
    if FILE_KINDS[kind] == "wmap":
        begin, size = struct.unpack("<QQ", cut(data, 24, 16))
        return digest(cut(data, begin, size))
    zipped = FILE_KINDS[kind] == "zip"
    return digest(zip_directory(data) if zipped else data[:8 + scalar(data, 0, "Q")])


def read_sibling(folder, f):
    """None where it is not there: the weight file is valid without it."""
    path = os.path.join(folder, os.fsdecode(f.name))
    if not os.path.exists(path):
        print(f"{path} is not there: its segments are not checked", file=sys.stderr)
        return None
    with open(path, "rb") as opened:
        data = opened.read()
    # This check has no number of its own in FORMAT.md.
    found = parse(lambda data: identity(f.kind, data), data, "R11")
    need(len(data) == f.size and found == f.identity, "R11", f"{path} is another file")
    return data


def file_of(index, segment):
    return next(i for i, f in enumerate(index.data_files) if segment - f.first in range(f.count))


def check_segment(data, recorded, chunks):
    parts = [data[begin:begin + CHUNK] for begin in range(0, len(data), CHUNK)]
    found = hashes("-H2", parts)
    need(not chunks or found == chunks, "R28", "digest of a chunk")
    whole = digest(b"".join(found)) if chunks else found[0]
    need(whole == recorded, "R28", f"digest of a segment: {whole.hex()}, not {recorded.hex()}")


def check_digests(index, extras, data):
    begin = 0
    for i, (s, recorded) in enumerate(zip(index.segments, extras.segment_digests)):
        if recorded == NOT_RECORDED:
            continue
        chunks = extras.chunk_digests[begin:begin + chunk_count(s.size)]
        begin += len(chunks)
        source = data[file_of(index, i)]
        if source is not None:
            check_segment(source[s.offset:s.offset + s.size], recorded, chunks)


# JSON

def real(number):
    return number if math.isfinite(number) else str(number)


def integer(number):
    return number if abs(number) <= 1 << 53 else str(number)


def value(index, kind, number, text):
    values = {
        "bool": lambda: bool(number),
        "int": lambda: integer(int.from_bytes(text or number.to_bytes(8, "little"), "little",
                                              signed=True)),
        "float": lambda: real(struct.unpack("<d", number.to_bytes(8, "little"))[0]),
        "complex": lambda: [real(part) for part in struct.unpack("<2d", text)],
        "str": text.decode, "device": text.decode, "bytes": text.hex, "bytearray": text.hex,
        "dtype": lambda: WORDS[number], "global": lambda: dotted(text),
        "opaque": lambda: dotted(text), "object": lambda: dotted(text), "tensor": lambda: index.tensors[number].name,
        "composite": lambda: index.composites[number].name.decode()}
    return values.get(KINDS[kind], lambda: None)()


def dotted(text):
    return text.decode().replace("\n", ".")


def tensor_json(index, entry, tensor):
    segment, file, offset = None, None, None
    if entry.segment != NO_SEGMENT:
        segment, file = entry.segment, file_of(index, entry.segment)
        offset = index.segments[segment].offset + entry.offset
    return {"name": tensor.name, "dtype": WORDS[entry.dtype], "shape": tensor.shape,
            "strides": tensor.strides, "data_file": file, "offset_bytes": offset,
            "size_bytes": tensor.extent, "segment": segment,
            "flags": words_of(entry.flags)}


def words_of(flags):
    return [word for bit, word in enumerate(FLAGS) if flags >> bit & 1]


def composite_json(index, c):
    return {"name": c.name.decode(), "kind": COMPOSITES[c.kind], "dtype": WORDS[c.dtype],
            "shape": c.shape, "flags": words_of(c.flags),
            "parts": [{"role": role.decode(), "tensor": index.tensors[entry].name}
                      for role, entry in c.parts],
            "reals": [real(number) for number in c.reals],
            "integers": [integer(number) for number in c.integers],
            "class": c.class_name.decode() or None}


def data_file_json(f):
    return {"name": f.name.decode(), "kind": FILE_KINDS[f.kind], "size_bytes": f.size,
            "alignment_bytes": f.alignment, "identity": f.identity.hex() if any(f.identity) else None}


def bytes_of(tensor, data):
    if tensor["segment"] is None:
        return ""
    source, begin = data[tensor["data_file"]], tensor["offset_bytes"]
    return None if source is None else source[begin:begin + tensor["size_bytes"]].hex()


def whole_json(h, index, extras, nodes):
    pairs = zip(index.entries, index.tensors)
    recorded = [None if d == NOT_RECORDED else d.hex() for d in extras.segment_digests]
    return {
        "format_version": f"{h.major}.{h.minor}", "size_bytes": h.blob_offset + h.blob_size,
        "digest": h.index_digest.hex(), "alignment_bytes": h.alignment,
        "data_files": [data_file_json(f) for f in index.data_files],
        "tensors": [tensor_json(index, entry, tensor) for entry, tensor in pairs],
        "composites": [composite_json(index, c) for c in index.composites],
        "modules": [{"path": path, "version": version}
                    for path, (version, _, _) in zip(index.paths, index.modules)],
        "extras": {"root": len(nodes) - 1 if nodes else None, "nodes": nodes},
        "digests": {"segments": recorded, "chunks": [d.hex() for d in extras.chunk_digests]}}


def read(path, with_bytes):
    with open(path, "rb") as opened:
        file = opened.read()
    h = read_header(file)
    check_header(h, file)
    index_bytes = file[128:128 + h.index_size]
    need(digest(index_bytes) == h.index_digest, "R8", "digest of the index")
    index = parse(read_index, index_bytes, "R9")
    check_index(index, h, len(file))
    extras_bytes = file[h.extras_offset:h.extras_offset + h.extras_size]
    need(digest(extras_bytes) == index.extras_digest, "R23", "digest of the extras")
    extras = parse(read_extras, extras_bytes, "R24")
    check_digest_counts(index, extras)
    nodes = [make_node(index, extras, i, node) for i, node in enumerate(extras.nodes)]
    check_padding(index, h, file)
    folder = os.path.dirname(path)
    data = [file] + [read_sibling(folder, f) for f in index.data_files[1:]]
    check_digests(index, extras, data)
    result = whole_json(h, index, extras, nodes)
    if with_bytes:
        result["bytes"] = {tensor["name"]: bytes_of(tensor, data) for tensor in result["tensors"]}
    return result


def main():
    parser = argparse.ArgumentParser(description="check a weight file and print what it holds")
    parser.add_argument("file")
    parser.add_argument("--bytes", action="store_true", help="print the bytes of the tensors too")
    options = parser.parse_args()
    try:
        print(json.dumps(read(options.file, options.bytes), allow_nan=False))
    except (Broken, OSError) as error:
        sys.exit(f"{options.file}: {error}")


if __name__ == "__main__":
    main()
