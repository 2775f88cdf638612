"""Checks a README: exactly one block of C++, a whole program; commands that exist. Given that
program, compiled, also that it prints what the README says."""

import os
import subprocess
import sys
from pathlib import Path


def fenced_blocks(text):
    """(language, text) of each block between fences, in order."""
    language, lines = None, []
    for line in text.splitlines(keepends=True):
        if language is None and line.startswith("```"):
            language, lines = line[3:].strip(), []
        elif line.startswith("```"):
            yield language, "".join(lines)
            language = None
        else:
            lines.append(line)


def commands(blocks):
    """The files of the project that the lines of the shell blocks call."""
    lines = (line for language, text in blocks if language == "sh" for line in text.splitlines())
    words = (line.removeprefix("sudo ").split()[0] for line in lines if line)
    return [word for word in words if "/" in word]


def wrong_blocks(blocks, folder):
    programs = [text for language, text in blocks if language == "cpp"]
    if len(programs) != 1:
        yield f"{len(programs)} blocks of C++, where there should be one"
    if not all("int main(" in program for program in programs):
        yield "the block of C++ is no whole program"
    named = commands(blocks)
    wanted = ("tools/demo.sh", "tools/test.sh")
    yield from (f"no shell block has {name}" for name in wanted if name not in named)
    yield from (f"{name} is no program" for name in named if not os.access(folder / name, os.X_OK))


def wrong_output(blocks, program):
    languages = [language for language, _ in blocks]
    _, promised = blocks[languages.index("cpp") + 1]
    done = subprocess.run([program], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        yield f"the program ends with {done.returncode}"
    if promised != done.stdout:
        yield f"the program prints\n{done.stdout}instead of\n{promised}"


def main():
    readme = Path(sys.argv[1])
    blocks = list(fenced_blocks(readme.read_text(encoding="utf-8")))
    found = list(wrong_blocks(blocks, readme.parent))
    for program in sys.argv[2:]:
        found += wrong_output(blocks, program)
    for complaint in found:
        print(f"{readme}: {complaint}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
