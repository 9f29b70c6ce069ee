"""The chart renders what Kubernetes takes, whatever is switched on.

Method: `helm lint --strict` and `helm template` over the defaults, each file of ci/, every `enabled` switch both ways
and the three modes of Redis; every manifest goes through the strict schemas of two Kubernetes versions.
"""

import copy
import functools

import kubernetes_validate
import kubernetes_validate.utils
import pytest
import yaml

from conftest import CHART, CI, OLDEST, Refused, helm, kinds, merged, nested, one, pod, render

# It reads megabytes of schemas for each manifest.
kubernetes_validate.utils.schema_contents = functools.cache(kubernetes_validate.utils.schema_contents)

VERSIONS = [OLDEST, kubernetes_validate.latest_version()]
# Kinds of operators: Kubernetes has no schema for them; test_operators.py looks at these.
OTHERS = {"HTTPRoute", "ServiceMonitor", "PrometheusRule"}
REDIS = {"redis": {"url": "redis://redis:6379"}}
MODES = {
    "standalone": REDIS,
    "sentinel": {
        "redis": {"url": "redis://a:26379,redis://b:26379"},
        "config": {"redis": {"mode": "sentinel", "sentinel_master": "m"}},
    },
    "cluster": {
        "redis": {"url": "rediss://a:6379,rediss://b:6379", "password": "p", "ca": {"pem": "x"}},
        "config": {"redis": {"mode": "cluster"}},
    },
}
# What a switch needs besides itself.
COMPANIONS = {
    "autoscaling.enabled": REDIS,
    "autoscaling.cpu.enabled": merged(REDIS, {"autoscaling": {"enabled": True, "connections": {"enabled": True}}}),
    "autoscaling.connections.enabled": merged(REDIS, {"autoscaling": {"enabled": True}}),
    "networkPolicy.egress.enabled": {"networkPolicy": {"enabled": True}},
}


def switches(tree, path=""):
    """The path of every boolean of values.yaml."""
    for key, value in tree.items():
        below = f"{path}.{key}" if path else key
        if isinstance(value, bool):
            yield below
        elif isinstance(value, dict):
            yield from switches(value, below)


VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SWITCHES = sorted(path for path in switches(VALUES) if not path.startswith(("podSecurity", "securityContext")))


def without_secrets(manifests):
    """What is generated differs each time."""
    return [manifest for manifest in manifests if manifest["kind"] != "Secret"]


def check(manifests, version):
    for manifest in manifests:
        if manifest["kind"] not in OTHERS:
            kubernetes_validate.validate(copy.deepcopy(manifest), version, strict=True)
    names = [(m["kind"], m["metadata"].get("namespace"), m["metadata"]["name"]) for m in manifests]
    assert len(names) == len(set(names)), "two objects of one name"
    assert all(manifest["metadata"]["namespace"] for manifest in manifests)


@pytest.mark.parametrize("ci", [None, *CI])
def test_lint(ci):
    files = ["--values", CHART / "ci" / ci] if ci else []
    assert "0 chart(s) failed" in helm("lint", "--strict", CHART, "--kube-version", OLDEST, *files)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("ci", [None, *CI])
def test_kinds_of_deployment_are_valid(ci, version):
    manifests = render(ci=ci, version=version)
    check(manifests, version)
    assert {"Deployment", "Service", "ConfigMap", "ServiceAccount"} <= kinds(manifests)


@pytest.mark.parametrize("on", [True, False])
@pytest.mark.parametrize("path", SWITCHES)
def test_every_switch_is_valid(path, on):
    values = merged(COMPANIONS.get(path, {}), nested(path, on))
    manifests = render(values, version=VERSIONS[1])
    check(manifests, VERSIONS[1])
    check(render(values), OLDEST)
    other = render(merged(values, nested(path, not on)))
    assert without_secrets(manifests) != without_secrets(other), "the switch does something"


@pytest.mark.parametrize("mode", MODES)
def test_modes_of_redis_are_valid(mode):
    manifests = render(merged(MODES[mode], {"replicaCount": 3}), version=VERSIONS[1])
    check(manifests, VERSIONS[1])
    assert one(manifests, "Deployment")["spec"]["replicas"] == 3


def test_a_wrong_manifest_is_found():
    manifests = render()
    one(manifests, "Deployment")["spec"]["replica"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        check(manifests, OLDEST)


def test_what_fits_together_is_taken():
    """What is next to the values below."""
    for values in (
        {"service": {"type": "NodePort", "nodePort": 30001, "externalTrafficPolicy": "Local"}},
        merged(REDIS, {"autoscaling": {"enabled": True}, "resources": {"requests": {"cpu": None}, "limits": {"cpu": 1}}}),
        {"updateStrategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 0}}},
        {"podDisruptionBudget": {"maxUnavailable": "100%"}},
        {"podDisruptionBudget": {"maxUnavailable": None, "minAvailable": 0}},
        {"extraVolumes": [{"name": "data", "emptyDir": {}}], "extraVolumeMounts": [{"name": "data", "mountPath": "/d"}]},
        {"extraVolumeMounts": [{"name": "config", "mountPath": "/again"}]},
        {"devRedis": {"enabled": True}, "redis": {"password": "it's $HOME; #1 `x`"}},
        {"redis": {"existingSecret": {"name": "s", "urlKey": "u"}, "ca": {"existingSecret": "c"}}},
    ):
        check(render(values), OLDEST)


@pytest.mark.parametrize("long", ["a" * 53, "hubbub-" + "b" * 46])
def test_long_names_fit(long):
    manifests = render({"devRedis": {"enabled": True}, "dashboards": {"enabled": False}}, release=long)
    assert all(len(manifest["metadata"]["name"]) <= 63 for manifest in manifests)
    # A pod is called after its Deployment, its ReplicaSet and itself; its name is the id of the node.
    assert len(one(manifests, "Deployment")["metadata"]["name"]) + len("-0123456789-01234") <= 63


def test_long_names_stay_apart():
    """What is cut off tells them apart."""
    for first, second in (("a" * 52 + "1", "a" * 52 + "2"), ("hubbub-" + "b" * 45 + "1", "hubbub-" + "b" * 45 + "2")):
        names = {one(render(release=release), "Deployment")["metadata"]["name"] for release in (first, second)}
        assert len(names) == 2
    short = "c" * 40
    assert one(render({"fullnameOverride": short}), "Deployment")["metadata"]["name"] == short


@pytest.mark.parametrize("release", ["1a", "a.b"])
def test_a_service_has_a_name_that_it_may_have(release):
    with pytest.raises(Refused, match="can't be called"):
        render(release=release)
    assert render({"fullnameOverride": "chat"}, release=release)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"replicaCount": 3}, "needs a Redis"),
        ({"autoscaling": {"enabled": True}}, "needs a Redis"),
        (merged(REDIS, {"replicaCount": 2, "config": {"node": {"id": "a"}}}), "same name"),
        (merged(REDIS, {"persistence": {"enabled": True}}), "without Redis"),
        (merged(REDIS, {"devRedis": {"enabled": True}}), "exclude each other"),
        ({"devRedis": {"enabled": True}, "redis": {"ca": {"pem": "x"}}}, "plain single server"),
        ({"config": {"redis": {"mode": "cluster"}}}, "needs redis.url"),
        (merged(REDIS, {"config": {"redis": {"mode": "sentinel"}}}), "sentinel_master"),
        (merged(REDIS, {"config": {"redis": {"sentinel_master": "m"}}}), "sentinel_master"),
        ({"redis": {"existingSecret": {"name": "s"}}}, "urlKey or passwordKey"),
        ({"redis": {"existingSecret": {"urlKey": "s"}}}, "no name"),
        (merged(REDIS, {"redis": {"existingSecret": {"name": "s", "urlKey": "u"}}}), "twice"),
        ({"secrets": {"existingSecret": "s", "apiKey": "k"}}, "exclude each other"),
        ({"tls": {"enabled": True, "certificate": "x"}}, "belong together"),
        ({"tls": {"enabled": True, "existingSecret": "s", "certificate": "x", "key": "k"}}, "exclude each other"),
        ({"httpRoute": {"enabled": True, "parentRefs": []}}, "parentRefs"),
        (merged(REDIS, {"autoscaling": {"enabled": True, "cpu": {"enabled": False}}}), "autoscaling"),
        (merged(REDIS, {"autoscaling": {"enabled": True, "minReplicas": 11}}), "above"),
        ({"terminationGracePeriodSeconds": 40}, "at least 50"),
        ({"config": {"public": {"listen": "0.0.0.0:8067"}}}, "different ports"),
        *[
            ({"service": {name: value}}, f"service.{name}")
            for name, value in {
                "nodePort": 30001,
                "externalTrafficPolicy": "Local",
                "loadBalancerClass": "x",
                "loadBalancerSourceRanges": ["10.0.0.0/8"],
            }.items()
        ],
        ({"service": {"type": "NodePort", "loadBalancerClass": "x"}}, "loadBalancerClass"),
        (merged(REDIS, nested("autoscaling.enabled", True) | nested("resources.requests.cpu", None)), "requests.cpu"),
        (nested("config.public.listen", "127.0.0.1:8065"), "hears nobody"),
        (nested("config.internal.listen", "[::1]:8067"), "hears nobody"),
        (nested("config.public.listen", "0.0.0.0:65536"), "ports end"),
        ({"updateStrategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}}, "nothing could ever"),
        (nested("podDisruptionBudget.maxUnavailable", None), "maxUnavailable or minAvailable"),
        (nested("config.shutdown.ready_delay", "0ms"), "ready_delay=0ms"),
        ({"extraVolumes": [{"name": "config", "emptyDir": {}}]}, "extraVolumes: config is there"),
        (merged(nested("persistence.enabled", True), {"extraVolumes": [{"name": "data"}]}), "extraVolumes: data is there"),
        ({"extraVolumeMounts": [{"name": "more", "mountPath": "/more"}]}, "no volume more"),
        (
            {"extraVolumeMounts": [{"name": "config", "mountPath": "/etc/hubbub/hubbub.toml"}]},
            "extraVolumeMounts: /etc/hubbub/hubbub.toml is there",
        ),
        (
            {"extraEnv": [{"name": "A", "value": "a", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}]},
            "A has value and valueFrom",
        ),
        ({"extraEnv": [{"name": "A", "value": "a"}, {"name": "A", "value": "b"}]}, "extraEnv: A is there"),
        ({"extraEnv": [{"name": "HUBBUB_NODE__ID", "value": "a"}]}, "HUBBUB_NODE__ID is there"),
        ({"extraEnv": [{"name": "HUBBUB_REDIS__URL", "value": "redis://a"}]}, "HUBBUB_REDIS__URL has a value"),
        ({"podSecurityContext": {"runAsUser": 0}}, "root"),
        ({"tls": {"certificate": "x", "key": "k"}}, "tls.enabled"),
        ({"tls": {"enabled": True}, "config": {"public": {"tls_cert": "/x", "tls_key": "/y"}}}, "exclude each other"),
        ({"keyFiles": {"existingSecret": "s", "files": {"a": "b"}}}, "exclude each other"),
        (merged(nested("secrets.authSecret", "x" * 32), nested("config.auth.secret_file", "/x")), "exclude each other"),
        (merged(nested("secrets.apiKey", "x"), nested("config.internal.api_key_file", "/x")), "exclude each other"),
        ({"redis": {"url": "rediss://a", "ca": {"pem": "x", "existingConfigMap": "c"}}}, "exclude each other"),
        ({"redis": {"url": "rediss://a", "ca": {"existingSecret": "s", "existingConfigMap": "c"}}}, "exclude each other"),
        (merged(nested("redis.ca.pem", "x"), REDIS), "is for rediss"),
        (nested("redis.password", "p"), "need a Redis"),
        (nested("redis.ca.pem", "x"), "need a Redis"),
        ({"redis": {"existingSecret": {"name": "s", "passwordKey": "p"}}}, "need a Redis"),
        (merged(REDIS, nested("config.redis.url_file", "/x")), "twice"),
        (nested("redis.url", "redis://a,redis://b"), "several servers"),
        *[({"devRedis": {"enabled": True}, "redis": {"password": f"a{c}b"}}, "quotation mark") for c in '"\\\n'],
        (merged(nested("persistence.enabled", True), nested("config.data.dir", "/x")), "exclude each other"),
        ({"serviceMonitor": {"enabled": True, "interval": "5s"}}, "scrapeTimeout=10s is longer"),
        ({"serviceMonitor": {"enabled": True, "interval": "900ms", "scrapeTimeout": "1s"}}, "scrapeTimeout=1s is longer"),
        ({"podLabels": {"app.kubernetes.io/name": "x"}}, "podLabels: the chart sets the label app.kubernetes.io/name"),
        ({"commonLabels": {"app.kubernetes.io/part-of": "x"}}, "commonLabels: the chart sets"),
        ({"serviceMonitor": {"labels": {"helm.sh/chart": "x"}}}, "serviceMonitor.labels: the chart sets"),
        ({"podAnnotations": {"checksum/config": "x"}}, "podAnnotations: the chart sets"),
        (
            {"podAnnotations": {"prometheus.io/port": "1"}, "metrics": {"scrapeAnnotations": True}},
            "podAnnotations: the chart sets",
        ),
        (
            {"autoscaling": {"annotations": {"metric-config.external.hubbub-connections.prometheus/query": "x"}}},
            "autoscaling.annotations: the chart sets",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(values, says):
    with pytest.raises(Refused, match=says):
        render(values)


def test_labels_of_a_value_win_over_common_ones():
    own = {"labels": {"team": "own"}}
    on = {"enabled": True, **own}
    values = {"commonLabels": {"team": "all"}, "podLabels": own["labels"]}
    manifests = render({**values, **{name: on for name in ("serviceMonitor", "prometheusRule", "dashboards", "httpRoute")}})
    for manifest in manifests:
        theirs = manifest["kind"] in OTHERS or "grafana_dashboard" in manifest["metadata"]["labels"]
        assert manifest["metadata"]["labels"]["team"] == ("own" if theirs else "all")
    template = one(manifests, "Deployment")["spec"]["template"]
    assert template["metadata"]["labels"]["team"] == "own"
    # What others set by the same name is theirs.
    assert render({"podAnnotations": {"prometheus.io/port": "1"}})


def test_the_oldest_kubernetes_is_named():
    with pytest.raises(Refused, match="kubeVersion"):
        render(version="1.26.0")
    assert pod(render(version="1.27.0"))
