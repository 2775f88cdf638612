"""The hostile corpus: one row a trick, with what must become of it. All are generated, the same bytes
each time.

A row is REFUSED, with part of the one line that says why, or it is KEPT: what the file holds is
harmless as data, converts, and nothing in it runs. hostile_test.py says what is watched besides."""

import json
import os
import pickle
import struct
from pathlib import Path
from typing import NamedTuple

from pieces import (LEGACY_MAGIC, call, checkpoint, items, legacy, legacy_tensor, long_get, long_put,
                    mapping, name, number, numbers, safetensors, shard_index, stack_name, storage,
                    tar_archive, tensor, text, whole, with_directory, zip_archive)  # fmt: skip

ATTACK = "as only a file does that attacks whoever loads it"
TOUCH = "touch ran"  # never seen in a file named `ran`


class Refused(NamedTuple):
    says: str


class Kept(NamedTuple):
    shows: str = ""  # part of what convert prints


class Trick(NamedTuple):
    name: str
    make: object  # called when the row runs: bytes of model.pt, or {path: bytes}
    verdict: object
    source: str = "model.pt"  # what is converted
    reads: tuple = ()  # besides the source, below the row's folder
    metadata_bytes: int = 0  # pickle, JSON or directory, unpacked; 0: all that make returns
    prepare: object = None  # what bytes cannot make: called with the folder
    is_adopted: bool = False  # the source is model.wmap, made from model.pt before `prepare`
    code_of_other: int = -1  # of the second command, where it is another


def value(it, **more):
    return lambda: checkpoint(it, **more)


SYSTEM = name("posix", "system")
COMMAND = text(TOUCH)
OBJECT = name("m", "C") + b")\x81"


def attack_tar():
    attack = whole(call(SYSTEM, COMMAND))
    return tar_archive({"storages": attack, "tensors": attack, "pickle": attack})


CODE = [
    Trick("REDUCE", value(SYSTEM + items(COMMAND) + b"R"), Refused(ATTACK)),
    Trick("REDUCE, by the module's other name", value(call(name("os", "system"), COMMAND)), Refused(ATTACK)),
    Trick("INST", value(b"(" + COMMAND + b"iposix\nsystem\n"), Refused(ATTACK)),
    Trick("OBJ", value(b"(" + SYSTEM + COMMAND + b"o"), Refused(ATTACK)),
    Trick("NEWOBJ", value(name("subprocess", "Popen") + items(COMMAND) + b"\x81"), Refused(ATTACK)),
    Trick("NEWOBJ_EX", value(name("subprocess", "Popen") + items(COMMAND) + b"}\x92"), Refused(ATTACK)),
    Trick("BUILD", value(OBJECT + mapping(x=call(SYSTEM, COMMAND)) + b"b"), Refused(ATTACK)),
    Trick("__setstate__", value(OBJECT + mapping(__setstate__=SYSTEM) + b"b" + COMMAND + b"b"), Refused(ATTACK)),
    Trick("__setstate__ of an unknown function", value(OBJECT + mapping(__setstate__=name("m", "f")) + b"b" + COMMAND + b"b"), Refused("a second state for one object")),
    Trick("dropped before the end", value(call(SYSTEM, COMMAND) + b"0N"), Refused(ATTACK)),
    Trick("an argument of an honest call", value(call(name("collections", "OrderedDict"), call(SYSTEM, COMMAND))), Refused(ATTACK)),
    Trick("eval", value(call(name("__builtin__", "eval"), text("open('ran', 'w')"))), Refused(ATTACK)),
    Trick("exec by its name in Python 3", value(call(name("builtins", "exec"), text("open('ran', 'w')"))), Refused(ATTACK)),
    Trick("a method of an honest class", value(call(name("__builtin__", "getattr"), call(name("pathlib", "Path"), text("ran")), text("touch")) + b")R"), Kept("opaque   builtins.getattr")),
    Trick("an unknown function", value(call(name("m", "f"), COMMAND)), Kept("opaque   m.f")),
    Trick("an unknown class with a state", value(OBJECT + mapping(x=tensor()) + b"b"), Kept("opaque   m.C")),
    Trick("a hook of a tensor", value(call(name("torch._utils", "_rebuild_tensor_v2"), storage(), number(0), numbers([4]), numbers([1]), b"\x89", call(SYSTEM, COMMAND))), Refused(ATTACK)),
    Trick("a pickle in a pickle", value(call(name("pickle", "loads"), b"B" + struct.pack("<I", 40) + whole(call(SYSTEM, text("x" * 5))).ljust(40))), Refused(ATTACK)),
    Trick("a pickle in a pickle, as bytes that nobody loads", value(mapping(a=b"C" + bytes([44]) + whole(call(SYSTEM, COMMAND)).ljust(44))), Kept()),
    Trick("a storage that PyTorch would unpickle", value(call(name("torch.storage", "_load_from_bytes"), b"C\x05hello")), Kept("opaque   torch.storage._load_from_bytes")),
    Trick("a legacy stream", lambda: legacy(call(SYSTEM, COMMAND)), Refused(ATTACK)),
    Trick("the pickle of keys in a legacy stream", lambda: LEGACY_MAGIC + whole(number(1001)) + whole(b"}") + whole(b"}") + whole(call(SYSTEM, COMMAND)), Refused(ATTACK)),
    Trick("a tar archive", attack_tar, Refused(ATTACK)),
    Trick("constants of TorchScript", lambda: zip_archive({"a/data.pkl": whole(b"}"), "a/constants.pkl": whole(call(SYSTEM, COMMAND)), "a/code/__torch__.py": b"", "a/version": b"3\n"}), Refused(ATTACK)),
    Trick("metadata of torch.distributed", lambda: {"model/.metadata": whole(call(SYSTEM, COMMAND), 4)}, Refused(ATTACK), source="model", reads=("model",)),
]  # fmt: skip

PERSISTENT = [
    Trick("a persistent id that calls", value(call(SYSTEM, COMMAND) + b"Q"), Refused(ATTACK)),
    Trick("a persistent id whose class attacks", value(call(name("torch._utils", "_rebuild_tensor_v2"), items(text("storage"), SYSTEM, text("0"), text("cpu"), number(4)) + b"Q", number(0), numbers([4]), numbers([1]), b"\x89", b"}")), Refused(ATTACK)),
    Trick("a persistent id that is no storage", value(mapping(a=text("module") + b"Q")), Refused("a storage that is no tensor's")),
    Trick("a persistent id as text", lambda: checkpoint(pickle=b"Pposix\n."), Refused("a persistent id as text")),
    Trick("a key that leads out of the archive", value(mapping(a=tensor(key="../../etc/passwd"))), Refused("there is no record")),
]  # fmt: skip

HIDDEN_NAMES = [
    Trick("STACK_GLOBAL", value(call(stack_name("os", "system"), COMMAND)), Refused(ATTACK)),
    Trick("STACK_GLOBAL of texts from the memo", value(text("posix") + b"q\x000" + text("system") + b"q\x010" + call(b"h\x00h\x01\x93", COMMAND)), Refused(ATTACK)),
    Trick("a function from the memo", value(SYSTEM + b"q\x000" + call(b"h\x00", COMMAND)), Refused(ATTACK)),
    Trick("a dotted name of a module that imports another", lambda: checkpoint(pickle=whole(call(stack_name("pathlib", "os.system"), COMMAND), 4)), Refused(ATTACK)),
    Trick("a dotted name below a class of PyTorch", lambda: checkpoint(pickle=whole(call(stack_name("torch", "serialization.os.system"), COMMAND), 4)), Refused(ATTACK)),
    Trick("Python 2's text for the name", value(b"U\x05posixU\x06system\x93" + items(COMMAND) + b"R"), Refused(ATTACK)),
    Trick("a name with a line break", value(text("m") + text("a\nb") + b"\x93"), Refused("is no name of a class")),
    Trick("a name with an escape sequence of terminals", value(call(name("m", "\x1b[2Jf"), COMMAND)), Kept("opaque   m.\\x1b[2Jf")),
    Trick("a class by a number", value(b"\x82\x01"), Refused("names a class by a number")),
]  # fmt: skip


def attack_archive():
    return checkpoint(call(SYSTEM, COMMAND))


def harmless_archive():
    return checkpoint(mapping(a=tensor()))


def shifted(archive, by):
    """The same archive behind `by` more bytes, its offsets counted from the front of all."""
    def move(_, entry):
        struct.pack_into("<I", entry, 42, struct.unpack_from("<I", entry, 42)[0] + by)

    moved = bytearray(with_directory(archive, move))
    end = moved.rfind(b"PK\5\6")
    struct.pack_into("<I", moved, end + 16, struct.unpack_from("<I", moved, end + 16)[0] + by)
    return bytes(moved)


def two_directories():
    """A second directory, of the attack, before that of the end."""
    attack, harmless = attack_archive(), harmless_archive()
    return attack + shifted(harmless, len(attack))


def same_record_twice():
    records = {f"archive/{key}": it for key, it in {"data.pkl": whole(mapping(a=number(1))), "version": b"3\n"}.items()}
    archive = zip_archive(records | {"archive/dAta.pkl": whole(call(SYSTEM, COMMAND))})
    return archive.replace(b"dAta", b"data")


def records_at_one_place():
    """Every storage's record is the first one's bytes: little that unpacks to much."""
    archive = checkpoint(mapping(a=tensor(), b=tensor(key="1")), {"0": bytes(16), "1": bytes(16)})
    first = {}

    def edit(place, entry):
        if place in (2, 3):
            entry[42:46] = first.setdefault("offset", bytes(entry[42:46]))

    return with_directory(archive, edit)


def tar_before_zip():
    tar = attack_tar()
    return tar + shifted(harmless_archive(), len(tar))


def legacy_before_zip():
    """PyTorch goes by the first bytes: to it, and to us, this is a legacy stream."""
    stream = legacy(mapping(a=legacy_tensor()))
    return stream + shifted(attack_archive(), len(stream))


def attack_before_zip():
    stream = legacy(call(SYSTEM, COMMAND))
    return stream + shifted(harmless_archive(), len(stream))


POLYGLOTS = [
    Trick("an attack as a legacy stream before a harmless zip", attack_before_zip, Refused(ATTACK)),
    Trick("a harmless legacy stream before a zip that attacks", legacy_before_zip, Kept("legacy")),
    Trick("a tar that attacks before a harmless zip", tar_before_zip, Refused(ATTACK)),
    Trick("a tar in a zip", lambda: zip_archive({"archive/data.pkl": tar_archive({"pickle": whole(call(SYSTEM, COMMAND))}), "archive/version": b"3\n"}), Refused("opcode 0x70 (PUT) at byte 0")),
    Trick("a zip in a zip", lambda: zip_archive({"archive/data.pkl": attack_archive(), "archive/version": b"3\n"}), Refused("a persistent id as text")),
    Trick("two archives, one behind the other", lambda: attack_archive() + harmless_archive(), Refused("entry 0 of the directory has no signature")),
    Trick("two directories", two_directories, Kept()),
    Trick("an archive behind the end", lambda: harmless_archive() + attack_archive(), Refused("entry 0 of the directory is cut short")),
    Trick("one name for two records", same_record_twice, Refused("two records have the name `archive/data.pkl`")),
    Trick("records at one place", records_at_one_place, Refused("overlap")),
]  # fmt: skip


# The full size is for release builds: with sanitizers a tenth of it takes as long.
SCALE = 10 if os.environ.get("WEIGHTMAP_SANITIZED") else 1
MILLION = 1_000_000 // SCALE


def laughs(depth, leaf=b")"):
    """Tuples of ten of the last, `depth` deep: 10^depth leaves in a few bytes."""
    levels = [long_get(level) * 10 for level in range(depth)]
    return leaf + long_put(0) + b"".join(
        b"0(" + level + b"t" + long_put(number_ + 1) for number_, level in enumerate(levels))  # fmt: skip


def quadratic_text(size, count):
    return b"](" + text("a" * size) + long_put(0) + long_get(0) * count + b"e"


def pickle_bomb(size):
    return checkpoint(pickle=whole(text(b"a" * size)), deflated=("data.pkl",))


def claim_size(archive, record, size):
    def edit(place, entry):
        if place == record:
            struct.pack_into("<I", entry, 24, size)

    return with_directory(archive, edit)


def million_views():
    """A million tensors over one storage, each of 18 bytes of pickle."""
    rebuild = name("torch._utils", "_rebuild_tensor_v2") + long_put(0) + b"0"
    shared = storage() + long_put(1) + b"0" + numbers([4]) + long_put(2) + b"0" + numbers([1]) + long_put(3) + b"0"
    shared += name("collections", "OrderedDict") + b")R" + long_put(4) + b"0"
    one = b"h\0(h\1K\0h\2h\3\x89h\4tR"
    return checkpoint(rebuild + shared + b"](" + one * MILLION + b"e")


COSTS = [
    Trick("billion laughs", value(laughs(30)), Refused("would expand to too many names")),
    Trick("billion laughs of tensors", value(laughs(30, tensor())), Refused("would expand to too many names")),
    Trick("billion laughs of lists in dicts", value(mapping(a=laughs(30, b"]"), b=long_get(29))), Refused("would expand to too many names")),
    Trick("a million references to one tensor", value(tensor() + long_put(0) + b"0](" + b"h\0" * MILLION + b"e"), Refused("would expand to too many names")),
    Trick("a long text a hundred thousand times", value(quadratic_text(100_000, 100_000)), Kept()),
    Trick("a memo number of 2^32 - 1", value(b"N" + long_put(2**32 - 1)), Refused("memo number 4294967295")),
    Trick("lists a million deep", value(b"]" * MILLION + b"a" * (MILLION - 1)), Refused("values nested deeper than 1000 levels")),
    Trick("marks a million deep", value(b"(" * MILLION + b"t"), Refused("more than 1000 open marks")),
    Trick("a list that contains itself", value(b"]" + long_put(0) + long_get(0) + b"a"), Refused("an object that refers to itself")),
    Trick("LONG4 of 2 GiB", value(b"\x8b" + struct.pack("<i", 2**31 - 1)), Refused("needs 2147483647")),
    Trick("LONG4 of a negative length", value(b"\x8b" + struct.pack("<i", -1)), Refused("has a length of -1")),
    Trick("BINUNICODE8 of 2^63", value(b"\x8d" + struct.pack("<Q", 2**63)), Refused("needs 9223372036854775808")),
    Trick("BYTEARRAY8 of 2^40", value(b"\x96" + struct.pack("<Q", 2**40)), Refused("needs 1099511627776")),
    Trick("a frame of 2^63", value(b"\x95" + struct.pack("<Q", 2**63)), Refused("a frame of 9223372036854775808")),
    Trick("a number of a million digits", lambda: checkpoint(pickle=b"L" + b"9" * MILLION + b"L\n."), Refused("is no value of its kind")),
    Trick("a pickle that claims to unpack to 4 GiB", lambda: claim_size(checkpoint(b"N", deflated=("data.pkl",)), 0, 2**32 - 2), Refused("has 4294967294 bytes, at most ")),
    Trick("a pickle of 64 MiB in 64 KiB", lambda: pickle_bomb(64 << 20), Kept(), metadata_bytes=64 << 20),
    Trick("a pickle of 200 MiB in 1 MiB", lambda: pickle_bomb(200 << 20), Refused("has 209715208 bytes, at most ")),
    Trick("a storage of 64 MiB in 64 KiB", lambda: checkpoint(mapping(a=tensor((16 << 20,), numel=16 << 20)), {"0": bytes(64 << 20)}, deflated=("data/0",)), Kept()),
    Trick("a storage that unpacks to more than it should", lambda: claim_size(checkpoint(mapping(a=tensor()), {"0": bytes(1 << 20)}, deflated=("data/0",)), 2, 16), Refused("unpacks to more than the 16 bytes"), code_of_other=0),
    Trick("a million overlapping tensors", million_views, Kept()),
]  # fmt: skip

SIZES = [
    Trick("elements times their size wrap", value(mapping(a=tensor((2**61,), (1,), numel=2**61 + 4, kind="Double"))), Refused("a storage of 2305843009213693956 elements")),
    Trick("a storage of 2^63 - 1 elements", value(mapping(a=tensor(numel=2**63 - 1))), Refused("a storage of 9223372036854775807 elements")),
    Trick("a storage of 2^64 + 4 elements", value(mapping(a=tensor(numel=2**64 + 4))), Refused("a storage whose size is no number of elements")),
    Trick("sizes that multiply to 2^64", value(mapping(a=tensor((2**32, 2**32), (1, 1)))), Refused("a shape of [4294967296, 4294967296]")),
    Trick("sizes that multiply to 4, modulo 2^64", value(mapping(a=tensor((2**62 + 1, 4), (4, 1)))), Refused("a shape of [4611686018427387905, 4]")),
    Trick("strides that wrap to zero", value(mapping(a=tensor((3, 4), (2**63 - 1, 1)))), Refused("does not lie inside its storage of 16 bytes")),
    Trick("strides that wrap into the storage", value(mapping(a=tensor((5,), (2**62,)))), Refused("does not lie inside its storage of 16 bytes")),
    Trick("a negative stride", value(mapping(a=tensor((2,), (-1,), 3))), Refused("a size or stride that is no number from 0 to 2^63 - 1")),
    Trick("a negative size", value(mapping(a=tensor((-4,)))), Refused("a size or stride that is no number from 0 to 2^63 - 1")),
    Trick("two negative sizes", value(mapping(a=tensor((-2, -2), (2, 1)))), Refused("a size or stride that is no number from 0 to 2^63 - 1")),
    Trick("a negative offset", value(mapping(a=tensor(offset=-4))), Refused("at element -4 does not lie inside its storage")),
    Trick("an offset of 2^62", value(mapping(a=tensor(offset=2**62))), Refused("at element 4611686018427387904 does not lie inside its storage")),
    Trick("a negative number of elements", value(mapping(a=tensor(numel=-4))), Refused("a storage whose size is no number of elements")),
    Trick("a rank of 1000", value(mapping(a=tensor([1] * 1000, [1] * 1000))), Refused("a tensor with 1000 dimensions, at most 64")),
    Trick("a zero size hides the others", value(mapping(a=tensor((0, 2**62, 2**62), (1, 1, 1)))), Kept()),
    Trick("expanded to 2^62 elements by strides of zero", value(mapping(a=tensor((2**62,), (0,)))), Kept()),
]  # fmt: skip


def st(header, data=b"", **more):
    return lambda: {"model.safetensors": safetensors(header, data)}


def entry(begin, end, shape=None, dtype="U8"):
    return {"dtype": dtype, "shape": [end - begin] if shape is None else shape, "data_offsets": [begin, end]}


def st_trick(title, header, says, data=b""):
    return Trick(title, st(header, data), Refused(says), source="model.safetensors")


DEEP = 99_000_000 // SCALE

JSON = [
    Trick("100 MB of JSON depth", lambda: {"model.safetensors": safetensors(b"{" + b'"a":' + b"[" * DEEP)}, Refused("an array is not expected here"), source="model.safetensors"),
    Trick("100 MB of depth in objects", lambda: {"model.safetensors": safetensors(b'{"a":' * (DEEP // 5))}, Refused("has a field `a`, which is not known"), source="model.safetensors"),
    Trick("100 MB of depth in an index", lambda: {"model.safetensors.index.json": b'{"weight_map":' + b"[" * DEEP}, Refused("weight_map: is no object"), source="model.safetensors.index.json"),
    Trick("a header that claims 2^64 - 1", lambda: {"model.safetensors": struct.pack("<Q", 2**64 - 1) + b"{}"}, Refused("is of a kind that is not known"), source="model.safetensors"),
    st_trick("tensors that overlap", {"a": entry(0, 8), "b": entry(4, 12)}, "begins at byte 4 of the data, expected 8", bytes(12)),
    st_trick("a hole", {"a": entry(0, 4), "b": entry(8, 12)}, "begins at byte 8 of the data, expected 4", bytes(12)),
    st_trick("a name twice", b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', "two tensors have the name `a`", b"x"),
    st_trick("a shape that wraps", {"a": entry(0, 4, [2**32, 2**32 + 1])}, "has too large a shape", bytes(4)),
    st_trick("an end before its begin", {"a": entry(8, 4, [4])}, "begins at byte 8 of the data, expected 0", bytes(8)),
    st_trick("an offset below zero", b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[-1,0]}}', "a negative integer is not expected", b"x"),
    Trick("a million tensors at one place", lambda: {"model.safetensors": safetensors(json.dumps({str(i): entry(0, 1) for i in range(MILLION)}).encode(), b"x")}, Refused("begins at byte 0 of the data, expected 1"), source="model.safetensors"),
]  # fmt: skip

GOOD_SHARD = safetensors({"a": entry(0, 4)}, bytes(4))
INDEX = "model/model.safetensors.index.json"


def sharded(shard, says, prepare=None, reads=()):
    files = lambda: {INDEX: shard_index(a=shard), "outside/secret": GOOD_SHARD}  # noqa: E731
    return Trick(f"a shard called {shard!r}"[:60], files, Refused(says), INDEX, ("model", *reads), prepare=prepare)


def link_shard(to):
    return lambda folder: Path(folder, "model/link").symlink_to(to)


SHARDS = [
    sharded("../outside/secret", "is not the name of a file"),
    sharded("/etc/passwd", "is not the name of a file"),
    sharded("..", "is not the name of a file"),
    sharded("", "is not the name of a file"),
    sharded("a/../../outside/secret", "is not the name of a file"),
    sharded("secret\0", "is not the name of a file"),
    sharded("model.safetensors.index.json", "is the same file as"),
    sharded("to a device", "is a character device, not a regular file", prepare=lambda folder: Path(folder, "model/to a device").symlink_to("/dev/zero"), reads=("/dev/zero",)),
    sharded("to itself", "too many levels of symbolic links", prepare=lambda folder: Path(folder, "model/to itself").symlink_to("to itself")),
    sharded("a FIFO", "is a FIFO, not a regular file", prepare=lambda folder: os.mkfifo(Path(folder, "model/a FIFO"))),
    sharded("a directory", "is a directory, not a regular file", prepare=lambda folder: Path(folder, "model/a directory").mkdir()),
    Trick("a link to a file elsewhere, as model hubs have it", lambda: {INDEX: shard_index(a="link"), "blobs/1": GOOD_SHARD}, Kept(), INDEX, ("model", "blobs"), prepare=link_shard("../blobs/1")),
    Trick("a link to a file that is no shard", lambda: {INDEX: shard_index(a="link"), "blobs/1": b"root:x:0:0:secret\n"}, Refused("is of a kind that is not known"), INDEX, ("model", "blobs"), prepare=link_shard("../blobs/1")),
]  # fmt: skip

def replaced(by):
    """The data file gives way to something else."""
    def prepare(folder):
        Path(folder, "model.pt").unlink()
        by(Path(folder, "model.pt"))

    return prepare


def data_file(title, by, says, reads=("model.pt",)):
    return Trick(title, lambda: {"model.pt": harmless_archive(), "other.pt": checkpoint(mapping(b=tensor()))}, Refused(says), "model.wmap", reads, prepare=replaced(by), is_adopted=True)


DATA_FILES = [
    Trick("a data file as it was", lambda: {"model.pt": harmless_archive()}, Kept(), "model.wmap", ("model.pt",), is_adopted=True),
    data_file("a FIFO", os.mkfifo, "is a FIFO, not a regular file"),
    data_file("a directory", os.mkdir, "is a directory, not a regular file"),
    data_file("a link to a device", lambda at: at.symlink_to("/dev/zero"), "not a regular file", ("/dev/zero",)),
    data_file("a link to a file that everybody may read", lambda at: at.symlink_to("/etc/passwd"), "is not the file that the weight file was made for", ("/etc/passwd",)),
    data_file("a link to another checkpoint", lambda at: at.symlink_to("other.pt"), "is not the file that the weight file was made for", ("other.pt",)),
    data_file("a link to itself", lambda at: at.symlink_to("model.pt"), "too many levels of symbolic links"),
    data_file("nothing", lambda at: None, "is missing"),
    data_file("an empty file", Path.touch, "is not the file that the weight file was made for"),
    data_file("zeros", lambda at: at.write_bytes(bytes(len(harmless_archive()))), "is not the file that the weight file was made for"),
    data_file("more bytes", lambda at: at.write_bytes(harmless_archive() + b"x"), "is not the file that the weight file was made for"),
]  # fmt: skip

TRICKS = {
    "code": CODE,
    "persistent ids": PERSISTENT,
    "hidden names": HIDDEN_NAMES,
    "polyglots": POLYGLOTS,
    "costs": COSTS,
    "sizes": SIZES,
    "JSON": JSON,
    "shards": SHARDS,
    "data files": DATA_FILES,
}
