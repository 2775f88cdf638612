"""A source tree with one offence of each kind: .ci/layers names each, and nothing else."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

LAYERS = Path(__file__).parents[2] / ".ci" / "layers"

ALLOWED = {
    "lib/base/text.h": "#include <string>\n",
    "lib/base/hash.cpp": '#include <xxhash.h>\n#include "base/text.h"\n',
    "lib/io/file.h": '#include "base/text.h"\n',
    "lib/io/mapped.cpp": (
        "#include <unistd.h>\n#include <boost/interprocess/mapped_region.hpp>\n"
        '#include "io/file.h"\ntry {} catch (...) {}\n'
    ),
    "lib/format/index.h": "#include <flatbuffers/flatbuffers.h>\n#include \"index_generated.h\"\n",
    "lib/runtime/load.cpp": '#include "format/index.h"\n#include "weightmap/load.h"\n',
    "lib/include/weightmap/load.h": '#include "weightmap/result.h"\n',
    "lib/include/weightmap/result.h": '// never throws "or" exit()s\nauto text = "throw exit(";\n',
    "tools/main.cpp": (
        '#include <CLI/CLI.hpp>\n#include <unistd.h>\n#include "weightmap/load.h"\n'
        '#include "demo/part.h"\nthrow 1;\n'
    ),
    "tools/demo/part.h": "#pragma once\n",
}

OFFENCES = [
    ("lib/base/up.cpp", '#include "io/file.h"\n', "base includes io/file.h of io"),
    ("lib/io/side.cpp", '#include "format/index.h"\n', "io includes format/index.h of format"),
    ("lib/base/api.cpp", '#include "weightmap/load.h"\n', "weightmap/load.h of runtime"),
    ("lib/base/none.cpp", '#include "nowhere.h"\n', "nowhere.h is in no layer"),
    ("lib/runtime/os.cpp", "#include <sys/mman.h>\n", "sys/mman.h, whose home is elsewhere"),
    ("lib/runtime/fb.cpp", '#include "index_generated.h"\n', "index_generated.h, whose home"),
    ("lib/format/boost.cpp", "#include <boost/any.hpp>\n", "boost/any.hpp, whose home"),
    ("lib/io/hash.cpp", "#include <xxhash.h>\n", "xxhash.h, whose home"),
    ("lib/base/fmt.cpp", "#include <fmt/core.h>\n", "fmt/core.h, whose home"),
    ("tools/test.cpp", "#include <doctest/doctest.h>\n", "doctest/doctest.h, whose home"),
    ("tools/inner.cpp", '#include "base/text.h"\n', "tools includes base/text.h of base"),
    ("lib/include/weightmap/dtype.h", '#include "base/text.h"\n', "base includes base/text.h"),
    ("lib/include/weightmap/unplaced.h", "", "is in no layer: give it one"),
    ("lib/strange/new.cpp", "", "is in no layer: give it one"),
    ("lib/base/throw.cpp", "throw 1;\n", "base throws"),
    ("lib/base/catch.cpp", "catch (...)\n", "base catches"),
    ("lib/io/print.cpp", "std::printf(text);\n", "io prints"),
    ("lib/io/cout.cpp", "std::cout << 1;\n", "io prints"),
    ("lib/io/exit.cpp", "exit(1);\n", "io ends the process"),
]


def check(files):
    """The exit code and the lines of .ci/layers on a tree of these files."""
    with tempfile.TemporaryDirectory() as tree:
        for name, text in files.items():
            path = Path(tree) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        done = subprocess.run([LAYERS, tree], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.splitlines()


class Layers(unittest.TestCase):
    def test_what_the_table_allows_passes(self):
        self.assertEqual(check(ALLOWED), (0, []))

    def test_each_offence_is_named_with_its_place(self):
        for path, text, expected in OFFENCES:
            with self.subTest(path):
                code, lines = check(ALLOWED | {path: text})
                self.assertEqual(code, 1)
                self.assertEqual(len(lines), 1, lines)
                self.assertTrue(lines[0].startswith(f"{path}:1: "), lines)
                self.assertIn(expected, lines[0])


if __name__ == "__main__":
    sys.exit(unittest.main())
