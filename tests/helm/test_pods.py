"""Pods stop in time, have no rights, and are replaced when what they read changes."""

import pytest

from conftest import CI, merged, nested, one, pod, render, variables

REDIS = {"redis": {"url": "redis://redis:6379"}}


def pods(manifests):
    """The specification of every pod that a release makes."""
    for manifest in manifests:
        if manifest["kind"] == "Pod":
            yield manifest["spec"]
        elif manifest["kind"] in ("Deployment", "StatefulSet"):
            yield manifest["spec"]["template"]["spec"]


@pytest.mark.parametrize("ci", [None, *CI])
def test_pods_have_no_rights(ci):
    """The profile `restricted` of the Pod Security Standards, and a read-only root."""
    for spec in pods(render(ci=ci)):
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["readOnlyRootFilesystem"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["requests"] and container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("ci", [None, *CI])
def test_a_pod_has_time_to_drain(ci):
    manifests = render(ci=ci)
    long = ci == "everything-values.yaml"
    # ready_delay + drain, and a reserve.
    assert pod(manifests)["terminationGracePeriodSeconds"] == (10 + 90 if long else 5 + 30) + 15
    assert 'ready_delay = "' in one_config(manifests) and 'ready_delay = "0s"' not in one_config(manifests)


def one_config(manifests):
    return next(m["data"]["hubbub.toml"] for m in manifests if m["kind"] == "ConfigMap" and "hubbub.toml" in m["data"])


@pytest.mark.parametrize(
    ("drain", "seconds"),
    [("0s", 5 + 15), ("250ms", 5 + 1 + 15), ("1h30m", 5 + 5400 + 15), ("2m500ms", 5 + 121 + 15), ("1s1ms", 5 + 2 + 15)],
)
def test_durations_are_understood(drain, seconds):
    # The delay is 5 s; both are rounded up, since a second more is no harm.
    assert pod(render(nested("config.shutdown.drain", drain)))["terminationGracePeriodSeconds"] == seconds


def test_more_time_may_be_given():
    assert pod(render({"terminationGracePeriodSeconds": 300}))["terminationGracePeriodSeconds"] == 300


def test_probes_ask_the_internal_port():
    container = pod(render(ci="tls-values.yaml"))["containers"][0]
    for probe, path in (("startupProbe", "/live"), ("livenessProbe", "/live"), ("readinessProbe", "/ready")):
        assert container[probe]["httpGet"] == {"path": path, "port": "internal"}
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"https": 8065, "internal": 8067}


@pytest.mark.parametrize("lease", ["10s", "5m"])
def test_a_start_may_wait_for_a_lease(lease):
    probe = pod(render(nested("config.cluster.lease", lease)))["containers"][0]["startupProbe"]
    assert probe["failureThreshold"] * probe["periodSeconds"] >= {"10s": 10, "5m": 300}[lease] + 30


def test_every_node_has_a_name_of_its_own():
    variable = variables(pod(render())["containers"][0])["HUBBUB_NODE__ID"]
    assert variable["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}


def test_pods_are_replaced_when_what_they_read_changes():
    def annotations(values):
        return one(render(values, again=True), "Deployment")["spec"]["template"]["metadata"]["annotations"]

    base = annotations({})
    assert base == annotations({}), "what is generated does not count"
    assert annotations(nested("config.limits.outbox_events", 512)) != base
    assert annotations(nested("secrets.apiKey", "a-new-key-of-the-api")) != base
    assert annotations(nested("redis.url", "redis://a")) != base
    assert annotations(nested("service.port", 80)) == base


def test_upgrades_surge_and_spread():
    manifests = render(merged(REDIS, {"replicaCount": 3}))
    specification = one(manifests, "Deployment")["spec"]
    assert specification["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    spread = pod(manifests)["topologySpreadConstraints"]
    assert [rule["topologyKey"] for rule in spread] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    labels = specification["template"]["metadata"]["labels"]
    for selector in [specification["selector"], *(rule["labelSelector"] for rule in spread)]:
        assert selector["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        ({}, 5),
        (REDIS, 5 + 30),
        (merged(REDIS, {"config": {"shutdown": {"drain": "1h", "ready_delay": "500ms"}}}), 3600 + 1),
        (merged(REDIS, {"minReadySeconds": 0}), 0),
        (merged(REDIS, {"minReadySeconds": 900}), 900),
    ],
)
def test_one_node_drains_at_a_time(values, seconds):
    specification = one(render(values), "Deployment")["spec"]
    assert specification["minReadySeconds"] == seconds
    # Else Kubernetes refuses the Deployment.
    assert specification["progressDeadlineSeconds"] > seconds


def test_recreate_has_no_fields_of_a_rolling_update():
    # values.yaml has them, and Helm merges.
    manifests = render({"updateStrategy": {"type": "Recreate"}})
    assert one(manifests, "Deployment")["spec"]["strategy"] == {"type": "Recreate"}


def test_one_process_holds_the_store():
    manifests = render(ci="single-values.yaml")
    assert one(manifests, "Deployment")["spec"]["strategy"] == {"type": "Recreate"}
    mounts = {mount["mountPath"]: mount for mount in pod(manifests)["containers"][0]["volumeMounts"]}
    assert "/var/lib/hubbub" in mounts and not mounts["/var/lib/hubbub"].get("readOnly")
    assert 'dir = "/var/lib/hubbub"' in one_config(manifests)


def test_mounts_name_volumes():
    for ci in [None, *CI]:
        for spec in pods(render(ci=ci)):
            volumes = {volume["name"] for volume in spec.get("volumes", [])} | {"data"}
            for container in spec["containers"]:
                mounts = [mount["name"] for mount in container.get("volumeMounts", [])]
                assert set(mounts) <= volumes


def test_the_dev_redis_is_loud_and_keeps_its_password_to_itself():
    manifests = render(ci="dev-values.yaml")
    stateful = one(manifests, "StatefulSet")
    assert "DEVELOPMENT ONLY" in stateful["metadata"]["annotations"]["hubbub/warning"]
    container = stateful["spec"]["template"]["spec"]["containers"][0]
    assert variables(container)["REDIS_PASSWORD"]["valueFrom"]["secretKeyRef"]["key"] == "redis-password"
    service = one(manifests, "Service", "t-hubbub-dev-redis")
    assert service["spec"]["selector"].items() <= stateful["spec"]["template"]["metadata"]["labels"].items()
