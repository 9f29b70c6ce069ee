#!/usr/bin/env python3
"""Makes what is generated in the chart.

values.schema.json  from values.yaml, its comments, fragments.py and docs/configuration.md
README.md           its table of values, from values.yaml and its comments
files/              copies of grafana/dashboards/*.json and grafana/alerts/*.yml, since a chart
                    can read nothing that lies beside it
"""

import argparse
import json
import pathlib
import sys

import yaml

import keys
from fragments import FRAGMENTS, closed

ROOT = pathlib.Path(__file__).resolve().parent.parent
CHART = ROOT / "helm/hubbub"
BEGIN = "<!-- Generated from values.yaml by `scripts/helm --write`. -->\n"
END = "<!-- End of what is generated. -->\n"


class Value:
    """One value of values.yaml: its path, default and comment, and the values in it."""

    def __init__(self, path, default, comment, section, children):
        self.path = path
        self.default = default
        self.comment = comment
        self.section = section
        self.children = children

    def is_row(self):
        return self.comment and not any(child.has_comment() for child in self.children)

    def has_comment(self):
        return bool(self.comment) or any(child.has_comment() for child in self.children)


def read_values(text):
    """The values of the file, in its order."""
    lines = text.splitlines()
    section = [""]

    def comment_above(line):
        found = []
        while line > 0 and lines[line - 1].lstrip().startswith("#"):
            line -= 1
            found.insert(0, lines[line].lstrip()[1:].strip())
        # The comment of a section ends with an empty line, so it is never among these.
        return " ".join(found)

    def section_above(line):
        for above in range(line - 1, -1, -1):
            if lines[above].startswith("# @section "):
                return lines[above].removeprefix("# @section ")
        return ""

    def walk(node, path):
        children = []
        for key, value in node.value:
            line = key.start_mark.line
            if not path:
                section[0] = section_above(line)
            name = f"{path}.{key.value}" if path else key.value
            is_table = isinstance(value, yaml.MappingNode) and not value.flow_style
            below = walk(value, name) if is_table else []
            default = yaml.safe_load(yaml.serialize(value))
            children.append(Value(name, default, comment_above(line), section[0], below))
        return children

    return walk(yaml.compose(text), "")


def flat(values):
    for value in values:
        yield value
        yield from flat(value.children)


def section(values):
    """An object with these values. Null takes a default away, which templates bear where it is empty or a collection."""
    properties = {value.path.rsplit(".", 1)[-1]: schema_of(value) for value in values}
    needed = [name for (name, schema), value in zip(properties.items(), values) if is_needed(value, schema)]
    return closed(properties, needed)


def is_needed(value, schema):
    may_be_null = "null" in schema.get("type", []) or value.default in (None, "")
    return bool(value.children) or not (may_be_null or isinstance(value.default, (list, dict)))


def schema_of(value):
    """The schema of one value: its fragment, or what its default says."""
    if value.path == "config":
        return keys.schema((ROOT / "docs/configuration.md").read_text())
    if value.path in FRAGMENTS:
        schema = dict(FRAGMENTS[value.path])
    elif value.children:
        schema = section(value.children)
    elif isinstance(value.default, bool):
        schema = {"type": "boolean"}
    elif isinstance(value.default, int):
        schema = {"type": "integer", "minimum": 0}
    elif isinstance(value.default, str):
        schema = {"type": "string"}
    else:
        raise SystemExit(f"helm/fragments.py must say what {value.path} is")
    if value.comment:
        schema["description"] = value.comment.replace("`", "")
    return schema


def schema(values):
    root = section(values)
    # What Helm itself puts there, and the switch of a chart that this one is a part of.
    root["properties"]["global"] = {"type": "object"}
    root["properties"]["enabled"] = {"type": "boolean"}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart hubbub",
        **root,
    }


def shown(default):
    if default is None or default == "":
        return "–"
    return f"`{json.dumps(default, ensure_ascii=False) if not isinstance(default, str) else default}`"


def table(values):
    """The rows of README.md."""
    parts = []
    section = None
    for value in flat(values):
        if not value.is_row() and not (value.comment and value.path == "config"):
            continue
        if value.section != section:
            section = value.section
            parts.append(f"\n### {section}\n\n| value | default | meaning |\n|---|---|---|\n")
        default = "see below" if value.path == "config" else shown(value.default)
        meaning = value.comment.replace("|", "\\|")
        parts.append(f"| `{value.path}` | {default.replace('|', chr(92) + '|')} | {meaning} |\n")
    return "".join(parts)


def readme(text, values):
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + table(values) + "\n" + END + after


def copies():
    """Path in the chart, and content, of every copied file."""
    found = {}
    for folder, pattern in (("dashboards", "*.json"), ("alerts", "*.yml")):
        for source in sorted((ROOT / "grafana" / folder).glob(pattern)):
            # Unit tests of the rules stay where they are.
            if not source.stem.endswith("_test"):
                found[CHART / "files" / folder / source.name] = source.read_text()
    return found


def wanted():
    """Path and content of everything that is generated."""
    values = read_values((CHART / "values.yaml").read_text())
    page = CHART / "README.md"
    files = {
        CHART / "values.schema.json": json.dumps(schema(values), indent=2, ensure_ascii=False) + "\n",
        page: readme(page.read_text(), values),
    }
    return {**files, **copies()}


def stale():
    """What is not as it would be generated, and copies whose original is gone."""
    files = wanted()
    found = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    if not (ROOT / "grafana").is_dir():
        # The chart alone, as somebody may have copied it: there is nothing to compare with.
        return found, []
    copied = [path for folder in ("dashboards", "alerts") for path in (CHART / "files" / folder).glob("*")]
    return found, [path for path in copied if path not in files and not path.name.startswith(".")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the files; without it they are compared")
    write = parser.parse_args().write
    changed, gone = stale()
    for path in changed + gone:
        print(f"{'writes' if write else 'is not current:'} {path.relative_to(ROOT)}")
    if write:
        for path in changed:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted()[path])
        for path in gone:
            path.unlink()
        return 0
    if changed or gone:
        print("run scripts/helm --write")
    return 1 if changed or gone else 0


if __name__ == "__main__":
    sys.exit(main())
