"""Who reaches what: the internal port is never public, and everything that names another object names it rightly."""

import re

import pytest
import yaml

from conftest import CHART, CI, kinds, merged, nested, one, pod, render
from fake_cluster import ask_cluster

REDIS = {"redis": {"url": "redis://redis:6379"}}


@pytest.mark.parametrize("ci", [None, *CI])
def test_the_internal_port_is_never_public(ci):
    manifests = render(ci=ci)
    for service in (manifest for manifest in manifests if manifest["kind"] == "Service"):
        targets = [port["targetPort"] for port in service["spec"]["ports"]]
        if "internal" in targets:
            assert service["spec"]["type"] == "ClusterIP" and targets == ["internal"]
    internal = [s["metadata"]["name"] for s in manifests if s["kind"] == "Service" and "internal" in str(s["spec"])]
    assert len(internal) == 1 + ("ServiceMonitor" in kinds(manifests))
    for manifest in manifests:
        if manifest["kind"] in ("Ingress", "HTTPRoute"):
            text = yaml.safe_dump(manifest)
            assert not any(name in text for name in internal) and "8067" not in text


@pytest.mark.parametrize("ci", [None, *CI])
def test_services_select_the_pods_and_their_ports(ci):
    manifests = render(ci=ci)
    deployment = one(manifests, "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    ports = {port["name"] for port in pod(manifests)["containers"][0]["ports"]}
    for service in (manifest for manifest in manifests if manifest["kind"] == "Service"):
        if "redis" in service["metadata"]["name"]:
            assert not service["spec"]["selector"].items() <= labels.items()
            continue
        assert service["spec"]["selector"].items() <= labels.items()
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


def test_ports_follow_the_listeners():
    values = {"config": {"public": {"listen": "[::]:9065"}, "internal": {"listen": "[::]:9067"}}}
    ports = [port["containerPort"] for port in pod(render(values))["containers"][0]["ports"]]
    assert ports == [9065, 9067]


def test_the_ingress_keeps_quiet_sockets():
    manifests = render(merged(REDIS, {"ingress": {"enabled": True}}))
    ingress = one(manifests, "Ingress")
    for name in ("read", "send"):
        assert int(ingress["metadata"]["annotations"][f"nginx.ingress.kubernetes.io/proxy-{name}-timeout"]) >= 3600
    backend = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert backend == {"name": "t-hubbub", "port": {"number": 8065}}
    assert one(manifests, "Service", "t-hubbub")["spec"]["ports"][0]["port"] == 8065


def test_the_route_has_no_deadline():
    values = {"httpRoute": {"enabled": True, "parentRefs": [{"name": "g"}]}, "config": {"public": {"base_path": "/a"}}}
    rule = one(render(values), "HTTPRoute")["spec"]["rules"][0]
    assert rule["timeouts"] == {"request": "0s", "backendRequest": "0s"}
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/a"}}]
    assert rule["backendRefs"] == [{"name": "t-hubbub", "port": 8065}]


def rules(policy):
    return {rule["ports"][0]["port"]: rule.get("from") for rule in policy["spec"]["ingress"]}


def test_the_network_policy_opens_the_internal_port_to_few():
    policy = one(render({"networkPolicy": {"enabled": True}}), "NetworkPolicy")
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    assert rules(policy) == {"http": None, "internal": [{"podSelector": {}}]}
    # Nobody is nobody, not everybody.
    policy = one(render({"networkPolicy": {"enabled": True, "internalFrom": []}}), "NetworkPolicy")
    assert rules(policy) == {"http": None}


def test_the_network_policy_lets_nodes_reach_their_redis():
    values = {"devRedis": {"enabled": True}, "networkPolicy": {"enabled": True, "egress": {"enabled": True}}}
    manifests = render(values)
    node = one(manifests, "NetworkPolicy", "t-hubbub")["spec"]
    redis = one(manifests, "StatefulSet")["spec"]["template"]["metadata"]["labels"]
    selected = node["egress"][1]["to"][0]["podSelector"]["matchLabels"]
    assert selected.items() <= redis.items()
    guard = one(manifests, "NetworkPolicy", "t-hubbub-dev-redis")["spec"]
    allowed = guard["ingress"][0]["from"][0]["podSelector"]["matchLabels"]
    assert allowed.items() <= one(manifests, "Deployment")["spec"]["template"]["metadata"]["labels"].items()


def test_the_autoscaler_scales_by_both():
    on = merged(REDIS, {"autoscaling": {"enabled": True, "connections": {"enabled": True, "average": 5000}}})
    scaler = one(render(on), "HorizontalPodAutoscaler")
    assert [metric["type"] for metric in scaler["spec"]["metrics"]] == ["Resource", "Pods"]
    assert scaler["spec"]["metrics"][1]["pods"]["metric"] == {"name": "hubbub_connections"}
    assert scaler["spec"]["scaleTargetRef"]["name"] == "t-hubbub"
    assert "replicas" not in one(render(on), "Deployment")["spec"], "or each upgrade would undo its work"
    annotated = merged(on, nested("autoscaling.connections.adapter", "kube-metrics-adapter"))
    scaler = one(render(annotated), "HorizontalPodAutoscaler")
    metric = scaler["spec"]["metrics"][1]["external"]
    name = metric["metric"]["name"]
    query = scaler["metadata"]["annotations"][f"metric-config.external.{name}.prometheus/query"]
    pods = re.search(r'hubbub_connections\{namespace="ns",pod=~"(.*)"\}', query)[1]
    assert re.fullmatch(pods, "t-hubbub-6b7f9c5d8-x2x9z")
    assert not re.fullmatch(pods, "t-hubbub-dev-redis-0") and not re.fullmatch(pods, "t-hubbub-two-6b7f9c5d8-x2x9z")
    assert metric["target"] == {"type": "AverageValue", "averageValue": "5000"}


def notes(tmp_path, *values):
    text = ask_cluster(tmp_path, {}, "install", "--disable-openapi-validation", *values)
    return text.split("\nNOTES:\n")[1]


@pytest.mark.parametrize("ci", [None, *CI])
def test_notes_name_what_is_there(ci, tmp_path):
    manifests = render(ci=ci)
    text = notes(tmp_path, *(["--values", CHART / "ci" / ci] if ci else []))
    services = {m["metadata"]["name"]: m["spec"]["ports"] for m in manifests if m["kind"] == "Service"}
    forwards = re.findall(r"kubectl --namespace ns port-forward service/(\S+) (\d+):(\d+)$", text, re.M)
    assert len(forwards) == 2
    for name, _, port in forwards:
        assert int(port) in [candidate["port"] for candidate in services[name]]
    for deployment in re.findall(r"deployment/(\S+)", text):
        assert deployment == one(manifests, "Deployment")["metadata"]["name"]
    secrets = {m["metadata"]["name"]: m["data"] for m in manifests if m["kind"] == "Secret"}
    found = re.findall(r"get secret (\S+) -o jsonpath='\{\.data\.(\S+)\}'", text)
    for name, key in found:
        assert name == "hubbub-keys" or key in secrets[name]
    assert ("DEVELOPMENT ONLY" in text) == ("StatefulSet" in kinds(manifests))
    assert ("log in memory" in text) == (ci in (None, "single-values.yaml", "tls-values.yaml"))


def test_notes_escape_a_key_with_dots(tmp_path):
    assert r"jsonpath='{.data.api\.key}'" in notes(tmp_path, "--set", "secrets.apiKeyKey=api.key")


def test_the_test_pod_asks_the_services():
    manifests = render()
    test = one(manifests, "Pod")
    assert test["metadata"]["annotations"]["helm.sh/hook"] == "test"
    services = {m["metadata"]["name"]: m["spec"]["ports"][0]["port"] for m in manifests if m["kind"] == "Service"}
    urls = [container["args"][-1] for container in test["spec"]["containers"] if "healthcheck" in container["args"]]
    assert len(urls) == 2
    for url in urls:
        name, port = re.match(r"http://([^:]+):(\d+)/", url).groups()
        assert services[name] == int(port)
    # What a NetworkPolicy lets in, and what a Service must not select.
    labels = test["metadata"]["labels"]
    assert not one(manifests, "Service", "t-hubbub")["spec"]["selector"].items() <= labels.items()
