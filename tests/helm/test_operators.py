"""What operators read: ServiceMonitor, PrometheusRule, the dashboards for the sidecar of Grafana."""

import json
import os
import shutil
import subprocess

import pytest
import yaml

from conftest import CHART, ROOT, helm, merged, nested, one, render

PROMTOOL = shutil.which("promtool", path=f"{ROOT / 'target/tools'}:{os.environ['PATH']}")
ALERTS = sorted((CHART / "files/alerts").glob("*.yml"))
DASHBOARDS = sorted((CHART / "files/dashboards").glob("*.json"))


def test_the_monitor_selects_a_service_of_its_own():
    manifests = render({"serviceMonitor": {"enabled": True, "labels": {"release": "p"}}})
    monitor = one(manifests, "ServiceMonitor")
    assert monitor["metadata"]["labels"]["release"] == "p"
    selector = monitor["spec"]["selector"]["matchLabels"].items()
    services = [manifest for manifest in manifests if manifest["kind"] == "Service"]
    selected = [service for service in services if selector <= service["metadata"]["labels"].items()]
    assert [service["metadata"]["name"] for service in selected] == ["t-hubbub-metrics"]
    endpoint = monitor["spec"]["endpoints"][0]
    assert endpoint["port"] in [port["name"] for port in selected[0]["spec"]["ports"]]
    # Nodes that stop stay in it, and nobody balances requests over it.
    assert selected[0]["spec"]["publishNotReadyAddresses"] is True and selected[0]["spec"]["clusterIP"] == "None"
    others = [service for service in services if service is not selected[0]]
    assert len(others) == 2 and not any("publishNotReadyAddresses" in service["spec"] for service in others)
    by_pod = {"sourceLabels": ["__meta_kubernetes_pod_name"], "targetLabel": "instance"}
    times = {"interval": "15s", "scrapeTimeout": "10s"}
    assert endpoint == {"port": "internal", "path": "/metrics", "relabelings": [by_pod], **times}
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": ["ns"]}


def test_the_monitor_takes_relabelings():
    rule = {"action": "drop", "sourceLabels": ["__name__"], "regex": "process_.*"}
    values = {"serviceMonitor": {"enabled": True, "metricRelabelings": [rule], "relabelings": [rule]}}
    endpoint = one(render(values), "ServiceMonitor")["spec"]["endpoints"][0]
    assert endpoint["metricRelabelings"] == [rule] and endpoint["relabelings"] == [rule]


def groups(values=None):
    rule = one(render(merged({"prometheusRule": {"enabled": True}}, values or {})), "PrometheusRule")
    return rule["spec"]["groups"]


@pytest.mark.skipif(not PROMTOOL, reason="promtool is missing: scripts/setup unpacks it")
def test_prometheus_takes_the_rules(tmp_path):
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": groups({"prometheusRule": {"alertLabels": {"team": "chat"}}})}))
    done = subprocess.run([PROMTOOL, "check", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_are_those_of_grafana_alerts():
    written = [group for file in ALERTS for group in yaml.safe_load(file.read_text())["groups"]]
    assert written and groups() == written


def test_alerts_get_labels():
    for group in groups({"prometheusRule": {"alertLabels": {"team": "chat"}}}):
        for rule in group["rules"]:
            assert ("alert" not in rule) or rule["labels"]["team"] == "chat"


def test_dashboards_arrive_whole():
    manifests = render({"dashboards": {"enabled": True, "namespace": "grafana"}})
    maps = {
        name: manifest
        for manifest in manifests
        if manifest["kind"] == "ConfigMap"
        for name in manifest["data"]
        if name.endswith(".json")
    }
    assert DASHBOARDS and set(maps) == {file.name for file in DASHBOARDS}
    for file in DASHBOARDS:
        manifest = maps[file.name]
        assert json.loads(manifest["data"][file.name]) == json.loads(file.read_text())
        assert manifest["metadata"]["namespace"] == "grafana"
        assert manifest["metadata"]["labels"]["grafana_dashboard"] == "1"
        # The limit of a ConfigMap.
        assert len(manifest["data"][file.name].encode()) < 1024 * 1024


def test_scrape_annotations_name_the_internal_port():
    manifests = render(merged(nested("metrics.scrapeAnnotations", True), nested("config.internal.listen", "0.0.0.0:9067")))
    annotations = one(manifests, "Deployment")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == "9067" and annotations["prometheus.io/path"] == "/metrics"


def test_the_package_is_complete(tmp_path):
    helm("package", CHART, "--destination", tmp_path)
    (package,) = tmp_path.glob("hubbub-*.tgz")
    on = {"dashboards": {"enabled": True}, "prometheusRule": {"enabled": True}}
    assert len(render(on, chart=package)) == len(render(on))
