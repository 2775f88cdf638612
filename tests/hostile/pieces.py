"""Pickles, zip and tar archives, safetensors, piece by piece: all that can be written can be written
wrong. Nothing is shared with the code under test or with PyTorch."""

import io
import json
import struct
import tarfile
import zipfile

LEGACY_MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."


# ---- pickle: each function returns the bytes that make one value


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return b"X" + struct.pack("<I", len(value)) + value


def number(value):
    if 0 <= value < 256:
        return b"K" + bytes([value])
    size = value.bit_length() // 8 + 1
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def name(module, attribute):
    return b"c" + f"{module}\n{attribute}\n".encode()


def stack_name(module, attribute):
    return text(module) + text(attribute) + b"\x93"


def long_put(memo):
    return b"r" + struct.pack("<I", memo)


def long_get(memo):
    return b"j" + struct.pack("<I", memo)


def items(*values):
    return b"(" + b"".join(values) + b"t"


def numbers(values):
    return items(*map(number, values))


def mapping(**values):
    return b"}(" + b"".join(text(key) + value for key, value in values.items()) + b"u"


def call(function, *arguments):
    return function + items(*arguments) + b"R"


def storage(kind="Float", key="0", numel=4):
    said = (text("storage"), name("torch", kind + "Storage"), text(key), text("cpu"), number(numel))
    return items(*said) + b"Q"


def tensor(shape=(4,), strides=(1,), offset=0, **of):
    hooks = name("collections", "OrderedDict") + b")R"
    arguments = (storage(**of), number(offset), numbers(shape), numbers(strides), b"\x89", hooks)
    return call(name("torch._utils", "_rebuild_tensor_v2"), *arguments)


def whole(value, protocol=2):
    return bytes([0x80, protocol]) + value + b"."


# ---- archives


def checkpoint(value=None, storages=None, pickle=None, **more):
    """What torch.save writes around a value; `more` are changes of the archive."""
    pickle = whole(value) if pickle is None else pickle
    storages = {"0": bytes(16)} if storages is None else storages
    records = {"data.pkl": pickle, "byteorder": b"little"}
    records |= {f"data/{key}": content for key, content in storages.items()}
    return zip_archive({f"archive/{key}": it for key, it in (records | {"version": b"3\n"}).items()}, **more)


def zip_archive(records, deflated=(), begin=b""):
    """Offsets count from the front of `begin`."""
    out = io.BytesIO()
    out.write(begin)
    with zipfile.ZipFile(out, "a" if begin else "w") as archive:
        for path, content in records.items():
            how = zipfile.ZIP_DEFLATED if path.split("/", 1)[-1] in deflated else zipfile.ZIP_STORED
            entry = zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, content, compress_type=how, compresslevel=1)
    return out.getvalue()


def directory_entries(archive):
    """Where each entry of the directory begins."""
    begin = struct.unpack_from("<I", archive, archive.rfind(b"PK\5\6") + 16)[0]
    places = []
    while archive[begin : begin + 4] == b"PK\1\2":
        places.append(begin)
        begin += 46 + sum(struct.unpack_from("<3H", archive, begin + 28))
    return places


def with_directory(archive, edit):
    """Changes the entries of the directory: edit(number, bytearray of the entry's fixed part)."""
    changed = bytearray(archive)
    for place_number, place in enumerate(directory_entries(archive)):
        fixed = changed[place : place + 46]
        edit(place_number, fixed)
        changed[place : place + 46] = fixed
    return bytes(changed)


def tar_archive(members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, content in members.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def legacy(value, storages=None):
    """A stream from before torch 1.6: magic number, version, system, object, keys, storages."""
    storages = {"0": bytes(16)} if storages is None else storages
    keys = b"](" + b"".join(map(text, storages)) + b"e"
    parts = [whole(number(1001)), whole(b"}"), whole(value), whole(keys)]
    raw = [struct.pack("<q", len(content) // 4) + content for content in storages.values()]
    return LEGACY_MAGIC + b"".join(parts + raw)


def legacy_storage(key="0", numel=4):
    said = (text("storage"), name("torch", "FloatStorage"), text(key), text("cpu"), number(numel), b"N")
    return items(*said) + b"Q"


def legacy_tensor():
    return call(name("torch._utils", "_rebuild_tensor"), legacy_storage(), number(0), numbers([4]), numbers([1]))


def safetensors(header, data=b""):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(header)) + header + data


def shard_index(**files):
    return json.dumps({"metadata": {}, "weight_map": files}).encode()

