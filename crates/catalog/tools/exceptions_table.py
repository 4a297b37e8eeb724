"""What a generator cannot know: lines of `what, of what, value, why`."""

import sys

KNOWN = {"kind", "column", "table", "params", "again", "parent", "shown", "expanded", "dated", "ids", "needs", "include", "never", "events"}


class Exceptions:
    def __init__(self, path):
        self.lines = []
        self.used = set()
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if line.startswith("#"):
                continue
            fields = line.split("\t")
            if len(fields) != 4 or fields[0] not in KNOWN or not fields[3]:
                sys.exit(f"{path.name}, line {number}: expected what, of what, value and why, with tabs between")
            self.lines.append(fields)

    def values(self, what, subject):
        found = [line for line in self.lines if line[:2] == [what, subject]]
        self.used.update(tuple(line) for line in found)
        return [line[2] for line in found]

    def value(self, what, subject):
        return next(iter(self.values(what, subject)), None)

    def columns(self, table):
        """The columns of this table that the SDK does not know, with their kinds."""
        known = [line[1] for line in self.lines if line[0] == "column" and line[1].startswith(f"{table}.")]
        return {name.removeprefix(f"{table}."): self.value("column", name) for name in known}

    def objects_of(self, kind, listed):
        """The objects that an event of this type is about: those with the longest name that it begins with."""
        named = {name: [name] for name in listed}
        named.update({line[1]: line[2].split("|") for line in self.lines if line[0] == "events"})
        fitting = [name for name in named if kind.startswith(f"{name}.") or kind.startswith(f"{name}[")]
        if not fitting:
            return []
        longest = max(fitting, key=len)
        self.values("events", longest)
        return [name for name in named[longest] if name in listed]

    def check_used(self):
        unused = [line for line in self.lines if tuple(line) not in self.used]
        if unused:
            sys.exit(f"exceptions that except nothing any more: {unused}")
