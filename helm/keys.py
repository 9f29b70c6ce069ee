"""The keys of docs/configuration.md, and what JSON Schema can say about each."""

import re

from fragments import TABLES, closed, listed, text

ROW = re.compile(r"^\| `(?P<key>[a-z_.]+)` \| (?P<default>[^|]*) \| (?P<takes>[^|]*) \| [^|]* \| (?P<meaning>.*) \|$")
DURATION = r"^([0-9]+(d|h|m|s|ms))+$"
SIZE = r"^([0-9]+(GiB|MiB|KiB|B))+$"
# A port that is known: 0 would be another one in each pod.
ADDRESS = r"^(\[[0-9a-fA-F:.]+\]|[0-9.]+):[1-9][0-9]{0,4}$"
# Keys that the templates read; values.yaml has defaults, which may be changed but not taken away.
NEEDED = ("public.listen", "internal.listen", "shutdown.ready_delay", "shutdown.drain")


def rows(page):
    """Key, what it takes, meaning."""
    found = [ROW.match(line) for line in page.splitlines()]
    return [(row["key"], row["takes"].strip(), row["meaning"].strip()) for row in found if row]


def number(token):
    value = float(token)
    return int(value) if value.is_integer() else value


def value(takes):
    """The schema of what a key takes; None for a secret, which has no place in a ConfigMap."""
    bounds = re.search(r", (\S+) to (\S+)$", takes)
    if takes.startswith("secret"):
        return None
    if takes.startswith("number, "):
        return {"type": "integer", "minimum": number(bounds[1]), "maximum": number(bounds[2])}
    if takes.startswith("per second, "):
        return {"type": "number", "minimum": number(bounds[1]), "maximum": number(bounds[2])}
    if takes.startswith("duration, "):
        return text(DURATION)
    if takes.startswith("size, "):
        return text(SIZE)
    if takes.startswith("one of "):
        return {"type": "string", "enum": re.findall(r"`([^`]+)`", takes)}
    if takes.startswith("list of "):
        return listed(text(minLength=1))
    simple = {
        "text": text(),
        "path": text(),
        "address and port": text(ADDRESS),
        "`true` or `false`": {"type": "boolean"},
    }
    return simple[takes]


def schema(page):
    """The schema of `config`: every key in its section."""
    root = closed({})
    root["description"] = "Every key of docs/configuration.md in its section."

    def place(path):
        table = root
        for part in path:
            table = table["properties"].setdefault(part, closed({}))
        return table["properties"]

    for key, takes, meaning in rows(page):
        *path, name = key.split(".")
        piece = value(takes)
        if piece is None:
            place(path)[name + "_file"] = {"type": "string", "description": f"File with `{key}`."}
        else:
            place(path)[name] = {**piece, "description": meaning}
    for key, piece in TABLES.items():
        *path, name = key.split(".")
        place(path)[name] = piece
    for key in NEEDED:
        table, name = key.split(".")
        root.setdefault("required", [])
        root["required"] += [table] if table not in root["required"] else []
        root["properties"][table].setdefault("required", []).append(name)
    return root
