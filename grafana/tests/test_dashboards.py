"""Goal: dashboards are current, complete, and help whoever looks at them.

Method: read the committed JSON, and compare names with docs/metrics.md and
docs/configuration.md, which the product's tests compare with its code.
"""

import copy
import re
import subprocess
import sys
import unittest

from support import GRAFANA, config_keys, dashboards, documented_metrics, named_keys

PAGES = dashboards.load()
NAMES = {"overview", "node", "cluster", "clients"}


def faults(name, page):
    """What is wrong with a dashboard, in words."""
    found = []
    ids = [panel["id"] for panel in page["panels"]]
    if len(set(ids)) != len(ids):
        found.append("two panels have one id")
    if page["uid"] != f"hubbub-{name}":
        found.append(f"uid is {page['uid']}")
    if [variable["name"] for variable in page["templating"]["list"]] != ["datasource", "namespace", "node"]:
        found.append("variables are not datasource, namespace, node")
    links = {link["url"].removeprefix("/d/hubbub-") for link in page["links"] if link["includeVars"] and link["keepTime"]}
    if links != NAMES - {name}:
        found.append(f"links lead to {sorted(links)}")
    taken = set()
    for panel in page["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        if cells & taken or at["x"] + at["w"] > 24:
            found.append(f"{panel['title']}: overlaps or leaves the grid")
        taken |= cells
    for panel in dashboards.panels(page):
        title = panel["title"]
        if len(panel["description"]) < 30:
            found.append(f"{title}: the description says nothing")
        if not panel["fieldConfig"]["defaults"].get("unit"):
            found.append(f"{title}: no unit")
        unknown = named_keys(panel["description"]) - config_keys()
        found += [f"{title}: {key} is no key of the configuration" for key in unknown]
    for expr in dashboards.queries(page):
        for metric, selector in re.findall(r"\b((?:hubbub|process)_\w+)(\{[^}]*\})?", expr):
            if 'namespace=~"$namespace",instance=~"$node"' not in selector:
                found.append(f"{metric} ignores the variables: {expr}")
        if "process_" in expr and "hubbub_build_info" not in expr:
            found.append(f"takes the processes of other programs: {expr}")
        unknown = dashboards.metrics(expr) - documented_metrics()
        found += [f"{metric} does not exist: {expr}" for metric in unknown]
    return found


class Dashboards(unittest.TestCase):
    def test_all_four_are_there(self):
        self.assertEqual(set(PAGES), NAMES)

    def test_nothing_is_wrong_with_them(self):
        for name, page in PAGES.items():
            with self.subTest(name):
                self.assertEqual(faults(name, page), [])

    def test_faults_are_found(self):
        def broken(change):
            page = copy.deepcopy(PAGES["node"])
            change(page, dashboards.panels(page)[0])
            return faults("node", page)

        changes = [
            lambda page, panel: panel.update(id=page["panels"][0]["id"]),
            lambda page, panel: page["templating"]["list"].pop(),
            lambda page, panel: page["links"].pop(),
            lambda page, panel: panel["gridPos"].update(x=20),
            lambda page, panel: panel.update(description="See `limits.colour`, which is one of the keys that matter."),
            lambda page, panel: panel.update(description="Lines."),
            lambda page, panel: panel["fieldConfig"]["defaults"].pop("unit"),
            lambda page, panel: panel["targets"][0].update(expr="hubbub_ready"),
            lambda page, panel: panel["targets"][0].update(expr=panel["targets"][0]["expr"].replace("ready", "steady")),
            lambda page, panel: panel["targets"][0].update(expr='process_open_fds{namespace=~"$namespace",instance=~"$node"}'),
        ]
        for number, change in enumerate(changes):
            with self.subTest(number):
                self.assertNotEqual(broken(change), [])

    def test_every_metric_is_on_a_panel(self):
        documented = documented_metrics()
        self.assertGreater(len(documented), 40, "docs/metrics.md is read")
        exprs = [target["expr"] for page in PAGES.values() for panel in dashboards.panels(page) for target in panel["targets"]]
        shown = set().union(*map(dashboards.metrics, exprs))
        self.assertEqual(documented - shown, set(), "metrics on no panel")

    def test_they_are_made_from_their_descriptions(self):
        made = subprocess.run([sys.executable, GRAFANA / "generate", "--check"], capture_output=True, text=True)
        self.assertEqual(made.returncode, 0, made.stderr)


if __name__ == "__main__":
    unittest.main()
