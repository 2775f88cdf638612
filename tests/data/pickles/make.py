"""Pickles one object under every protocol, and tells what is in it.

    python make.py      (Python 3.11; nothing else is needed)
"""

import collections
import pathlib
import pickle
import struct

HERE = pathlib.Path(__file__).parent


def integers():
    small = [0, 1, -1, 255, 256, 65535, 65536, 2**31 - 1, -(2**31), 2**31, 2**63 - 1, -(2**63)]
    return [*small, 2**63, -(2**63) - 1, 2**80, -(2**70), 10**400, -(256**40)]


def texts():
    odd = ["", "a", "it's", "réseau 网络 🙂", "back\\slash \\\\ \\u0041 \\", "line\nfeed\r\t", "nul\0", "\x1a", "\x7f\x80\xff"]
    return [*odd, "long " * 200]


def value():
    shared = [1, 2]
    return {
        "constants": [None, True, False],
        "integers": integers(),
        "floats": [0.0, -0.0, 0.1, 1e300, 5e-324, float("inf"), float("-inf"), float("nan")],
        "texts": texts(),
        "bytes": [b"", b"a", bytes(range(256)), b"x" * 300],
        "bytearray": bytearray(b"\x00\xff"),
        "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
        "lists": [[], [1], [[1], [2, [3]]], list(range(1001))],
        "dicts": [{}, {1: 2}, {"a": {"b": None}, (1, 2): 3}],
        "sets": [set(), {1}, frozenset(), frozenset({2})],
        "shared": [shared, shared, (shared,)],
        "complex": 1.5 - 2j,
        "ordered": collections.OrderedDict([("z", 1), ("a", 2)]),
        "counter": collections.Counter({"a": 2}),
        "default": collections.defaultdict(list, {"a": [1]}),
    }


def real(number):
    return "%g" % number


def little(number, size):
    return number.to_bytes(size, "little", signed=True).hex()


def integer(number):
    if -(2**63) <= number < 2**63:
        return str(number)
    size = next(n for n in range(9, 1000) if -(2 ** (8 * n - 1)) <= number < 2 ** (8 * n - 1))
    return f"int<{little(number, size)}>"


def pairs(items):
    return "{" + ", ".join(f"{show(key)}: {show(item)}" for key, item in items.items()) + "}"


def listed(items):
    return ", ".join(show(item) for item in items)


def show(item):
    """As tests/checkpoint/show.h shows values."""
    shown = {
        bool: str,
        int: integer,
        float: real,
        str: lambda text: f"'{text}'",
        bytes: lambda data: f"b<{data.hex()}>",
        bytearray: lambda data: f"bytearray<{data.hex()}>",
        tuple: lambda items: f"({listed(items)})",
        list: lambda items: f"[{listed(items)}]",
        set: lambda items: f"set{{{listed(items)}}}",
        frozenset: lambda items: f"frozenset{{{listed(items)}}}",
        dict: pairs,
        collections.OrderedDict: lambda items: "OrderedDict" + pairs(items),
        collections.Counter: lambda items: "Counter" + pairs(items),
        collections.defaultdict: lambda items: "defaultdict<builtins.list>" + pairs(items),
        complex: lambda number: f"complex<{complex_hex(number)}>",
    }
    return "None" if item is None else shown[type(item)](item)


def complex_hex(number):
    return struct.pack("<2d", number.real, number.imag).hex()


def main():
    (HERE / "shown.txt").write_text(show(value()), encoding="utf-8", newline="")
    for protocol in range(6):
        (HERE / f"protocol{protocol}.pkl").write_bytes(pickle.dumps(value(), protocol))


main()
