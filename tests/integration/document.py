"""Reading proto/PROTOCOL.md and the tables of the sources that it must agree with. Standard library only."""

import json
import os
import re

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
EXAMPLES = os.path.join(ROOT, "proto", "examples")


def source(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def x_table(path, macro):
    """The rows of `#define MACRO(X) X(constant, …)`: [(the constant, the rest as text)]."""
    define = re.search(rf"^#define {macro}\(X\)((?:.*\\\n)*.*)$", source(path), re.M)
    rows = re.findall(r"\bX\((\w+), ((?:[^()\"]|\"[^\"]*\")*)\)", define.group(1))
    if not rows:
        raise ValueError(f"{path}: {macro} has no rows")
    return rows


def words(path, macro):
    """The first string of each row; rows without one (a NULL) are left out."""
    found = [re.search(r"\"([^\"]*)\"", rest) for _, rest in x_table(path, macro)]
    return {match.group(1) for match in found if match}


def protocol():
    return source("proto/PROTOCOL.md")


def chapter(number):
    """The text of a numbered chapter of PROTOCOL.md, without its title."""
    found = re.search(rf"^## {number}\. .*?\n(.*?)(?=^## |\Z)", protocol(), re.M | re.S)
    return found.group(1)


def sections():
    """{method: its text} of the chapter on methods."""
    parts = re.split(r"^### (.*)\n", chapter(5), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def rows(text):
    """The cells of all rows of all tables, stripped; a bar in code is written with a backslash."""
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in text.splitlines() if line.startswith("|")]


def names(cell):
    """What stands in backquotes, and is one word."""
    return re.findall(r"`(\w+)`", cell)


def documented_errors():
    """{name: code} of the table of errors that any call may return."""
    return {name: int(row[0]) for row in rows(chapter(2)) if re.fullmatch(r"-\d+", row[0])
            for name in names(row[1])}


def documented_tables():
    """{method: names} of the methods whose parameters stand in a table; under "" those of all that take futures."""
    found = {method: _table_parameters(text) for method, text in {**sections(), "": chapter(3)}.items()}
    return {method: own for method, own in found.items() if own}


def _table_parameters(text):
    """What stands in the first cells of tables whose first title is `parameter`."""
    own, inside = set(), False
    for line in text.splitlines():
        first = rows(line)[0][0] if line.startswith("|") else None
        if first is None:
            inside = False
        elif first == "parameter":
            inside = True
        elif inside:
            own |= set(names(first))
    return own


def implemented_methods():
    table = re.search(r"struct command table\[\] = \{(.*?)\n\};", source("daemon/ipc/commands.c"), re.S)
    return re.findall(r"\{\"(\w+)\", command_", table.group(1))


# Which parameter table of which file: the first, the second…
_TABLES = {
    "hello": ("session", 0), "abandon": ("session", 1), "register": ("register", 0), "backoff": ("register", 1),
    "await": ("await", 0), "collect": ("collect", 0), "ack": ("release", 0), "cancel": ("release", 0),
    "status": ("query", 0), "list": ("query", 1),
}


def implemented_parameters(method):
    """The names in a method's parameter table; `backoff`: those of that object's members."""
    if method not in _TABLES:
        return set()
    theme, place = _TABLES[method]
    text = source(f"daemon/ipc/command_{theme}.c").replace("TARGET_PARAMETERS", _target_parameters())
    return set(re.findall(r"\.name = \"(\w+)\"", _parameter_tables(text)[place]))


def _target_parameters():
    return re.search(r"#define TARGET_PARAMETERS((?:.*\\\n)*.*)", source("daemon/ipc/targets.h")).group(1)


def _parameter_tables(text):
    return re.findall(r"static const struct parameter \w+\[\w+\] = \{(.*?)\};", text, re.S)


def n_parameter_tables():
    """How many there are in the sources, and how many are known here."""
    folder = os.path.join(ROOT, "daemon", "ipc")
    files = [name for name in os.listdir(folder) if name.startswith("command_") and name.endswith(".c")]
    return (sum(len(_parameter_tables(source(f"daemon/ipc/{name}"))) for name in files), len(set(_TABLES.values())))


def json_line(message):
    return json.dumps(message) + "\n"
