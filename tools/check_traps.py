#!/usr/bin/env python3
"""Says where docs/traps.md is no longer true: a trap without a line, a file, function or test that is not there."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CRATES = ROOT / "crates"
TRAPS = range(1, 31)
ROW = re.compile(r"^\| (\d+) \|")
# A file and what is named in it.
SOURCE = re.compile(r"`([\w./-]+\.rs)`((?:[, ]+`[\w:]+`)*)")
NAME = re.compile(r"`([\w:]+)`")


def rows(document):
    for line in document.splitlines():
        if number := ROW.match(line):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            yield int(number[1]), cells[2], cells[3]


def missing_sources(protection):
    crate = None
    for path, names in SOURCE.findall(protection):
        # A path without its crate is in the one named before it.
        whole = CRATES / path if "/src/" in path else CRATES / str(crate) / "src" / path
        crate = path.split("/")[0] if "/src/" in path else crate
        if not whole.is_file():
            yield path
            continue
        text = whole.read_text()
        for name in NAME.findall(names):
            owner, _, own = name.rpartition("::")
            if not re.search(rf"\b(?:fn|const|static) {own}\b", text) or owner not in text:
                yield f"{path} {name}"


def missing_tests(number, tests, sources):
    named = NAME.findall(tests)
    if not any(name.startswith("trap_") and str(number) in name.split("_") for name in named):
        yield f"a test named by {number}"
    yield from (name for name in named if f"fn {name}(" not in sources)


def main():
    sources = "\n".join(path.read_text() for path in CRATES.rglob("*.rs"))
    wrong, told = [], set()
    for number, protection, tests in rows((ROOT / "docs/traps.md").read_text()):
        told.add(number)
        wrong += [f"{number}: {what} is not there" for what in missing_sources(protection)]
        wrong += [f"{number}: {what} is not there" for what in missing_tests(number, tests, sources)]
    wrong += [f"{number}: it has no line" for number in TRAPS if number not in told]
    sys.exit("\n".join(["docs/traps.md is not true any more:", *wrong]) if wrong else 0)


if __name__ == "__main__":
    main()
