"""Goal: who is woken by an alert knows why, and what to do.

Method: read the rules, their unit tests and docs/operations.md as text and compare them;
promtool runs the unit tests (scripts/grafana).
"""

import re
import unittest

import yaml

from support import GRAFANA, ROOT, config_keys, dashboards, documented_metrics, named_keys

GUIDE = (ROOT / "docs" / "operations.md").read_text()
PARTS = ["**How to see it.**", "**Why it happens.**", "**What to do.**"]


def alerts():
    files = sorted((GRAFANA / "alerts").glob("*.yml"))
    rules = [rule for path in files for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]
    return [rule for rule in rules if "alert" in rule], rules


def sections(text):
    """The text below each heading, by its anchor."""
    parts = re.split(r"^#+ (.+)$", text, flags=re.MULTILINE)
    anchors = [re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-") for title in parts[1::2]]
    return dict(zip(anchors, parts[2::2]))


def faults(rule, guide):
    """What is wrong with an alert, in words."""
    name, notes = rule["alert"], rule.get("annotations", {})
    found = [f"{name}: no {what}" for what in ("summary", "description") if not notes.get(what)]
    if rule.get("labels", {}).get("severity") not in ("critical", "warning"):
        found.append(f"{name}: severity is neither critical nor warning")
    url = re.fullmatch(r"(?:.*/)?docs/operations\.md#([a-z0-9-]+)", notes.get("runbook_url", ""))
    if not url:
        return found + [f"{name}: runbook_url does not lead into docs/operations.md"]
    section = sections(guide).get(url[1])
    if section is None:
        return found + [f"{name}: docs/operations.md has no heading for #{url[1]}"]
    for part, end in zip(PARTS, [*PARTS[1:], None]):
        said = section.partition(part)[2].partition(end)[0] if end else section.partition(part)[2]
        if len(said.strip()) < 60:
            found.append(f"{name}: the guide does not say {part.strip('*. ').lower()}")
    return found


class Alerts(unittest.TestCase):
    def test_each_says_what_to_do(self):
        found = [fault for rule in alerts()[0] for fault in faults(rule, GUIDE)]
        self.assertEqual(found, [])

    def test_faults_are_found(self):
        guide = "# Guide\n\n### HubbubX\n\n" + "\n\n".join(f"{part} {'word ' * 20}" for part in PARTS) + "\n\n### Y\n"
        notes = {"summary": "s", "description": "d", "runbook_url": "docs/operations.md#hubbubx"}
        good = {"alert": "HubbubX", "labels": {"severity": "critical"}, "annotations": notes}
        self.assertEqual(faults(good, guide), [])
        for bad in [
            {**good, "labels": {}},
            {**good, "annotations": {**notes, "summary": ""}},
            {**good, "annotations": {**notes, "runbook_url": "docs/operations.md"}},
            {**good, "annotations": {**notes, "runbook_url": "docs/operations.md#hubbubz"}},
            {**good, "annotations": {**notes, "runbook_url": "docs/operations.md#y"}},
        ]:
            with self.subTest(str(bad)):
                self.assertNotEqual(faults(bad, guide), [])

    def test_each_has_a_test_that_fires_and_one_that_is_silent(self):
        fires, silent = set(), set()
        for path in (GRAFANA / "tests" / "alerts").glob("*.yml"):
            for case in yaml.safe_load(path.read_text())["tests"]:
                self.assertTrue(case["input_series"], f"{path.name}: {case['name']}")
                for question in case.get("alert_rule_test", []):
                    (fires if question["exp_alerts"] else silent).add(question["alertname"])
        names = {rule["alert"] for rule in alerts()[0]}
        self.assertEqual(fires, names)
        self.assertEqual(silent, names)

    def test_their_metrics_exist(self):
        used = set().union(*(dashboards.metrics(rule["expr"]) for rule in alerts()[1]))
        self.assertGreater(len(used), 10)
        self.assertEqual(used - documented_metrics(), set())

    def test_each_is_named_on_a_panel(self):
        text = " ".join(panel["description"] for page in dashboards.load().values() for panel in dashboards.panels(page))
        named = set(re.findall(r"\bHubbub\w+", text))
        self.assertEqual(named, {rule["alert"] for rule in alerts()[0]})

    def test_the_guide_names_keys_that_exist(self):
        named = named_keys(GUIDE)
        self.assertGreater(len(named), 10)
        self.assertEqual(named - config_keys(), set())

    def test_the_guide_names_metrics_that_exist(self):
        named = {name.split("{")[0] for name in re.findall(r"`((?:hubbub|process)_[a-z_]+)", GUIDE)}
        self.assertEqual(named - documented_metrics(), set())


if __name__ == "__main__":
    unittest.main()
