"""Secrets are in Secrets and nowhere else, and what was generated stays.

Method: values with recognisable secrets are rendered and searched for; for upgrades helm asks a small server that
answers like the API of a cluster which holds the Secret of the earlier release.
"""

import base64

import pytest
import yaml

from conftest import CI, OLDEST, decoded, documents, one, pod, render, variables
from fake_cluster import ask_cluster

MARKS = {
    "secrets.authSecret": "mark-auth-secret-mark-auth-secret",
    "secrets.apiKey": "mark-api-key-mark-api-key",
    "redis.url": "redis://user:mark-in-url@redis.example:6379",
    "redis.password": "mark-redis-password",
    "keyFiles": "mark-key-file-mark-key-file",
    "tls.key": "mark-tls-key",
}
MARKED = {
    "secrets": {"authSecret": MARKS["secrets.authSecret"], "apiKey": MARKS["secrets.apiKey"]},
    "redis": {"url": MARKS["redis.url"], "password": MARKS["redis.password"]},
    "keyFiles": {"files": {"a.key": MARKS["keyFiles"]}},
    "tls": {"enabled": True, "certificate": "x", "key": MARKS["tls.key"]},
    "serviceMonitor": {"enabled": True},
}


def test_secrets_are_in_secrets_only():
    manifests = render(MARKED)
    hidden = "".join(str(decoded(m)) for m in manifests if m["kind"] == "Secret")
    seen = "".join(yaml.safe_dump(m) for m in manifests if m["kind"] != "Secret")
    for value, mark in MARKS.items():
        assert mark in hidden, f"{value} is nowhere"
        assert mark not in seen, f"{value} can be read"
        assert base64.b64encode(mark.encode()).decode() not in seen


@pytest.mark.parametrize("ci", [None, *CI])
def test_secret_variables_come_from_secrets(ci):
    manifests = render(ci=ci)
    container = pod(manifests)["containers"][0]
    for name, variable in variables(container).items():
        if name.endswith(("SECRET", "API_KEY", "PASSWORD", "REDIS__URL")):
            assert set(variable) == {"name", "valueFrom"} and "secretKeyRef" in variable["valueFrom"]
    assert all(len(str(argument)) < 40 for argument in container["args"])


def test_references_have_what_they_name():
    """What the pod names is made by the release, unless it is the operator's."""
    for values in ({}, MARKED, {"devRedis": {"enabled": True}}):
        manifests = render(values)
        made = {m["metadata"]["name"]: decoded(m) for m in manifests if m["kind"] == "Secret"}
        for variable in pod(manifests)["containers"][0]["env"]:
            reference = variable.get("valueFrom", {}).get("secretKeyRef")
            assert reference is None or made[reference["name"]][reference["key"]]


def test_existing_secrets_are_used_and_none_is_made():
    values = {
        "secrets": {"existingSecret": "mine", "authSecretKey": "a", "apiKeyKey": "b"},
        "redis": {"existingSecret": {"name": "theirs", "urlKey": "u", "passwordKey": "p"}},
    }
    manifests = render(values)
    assert not [manifest for manifest in manifests if manifest["kind"] == "Secret"]
    used = variables(pod(manifests)["containers"][0])
    reference = {name: variable["valueFrom"]["secretKeyRef"] for name, variable in used.items() if "REDIS" in name}
    assert reference == {
        "HUBBUB_REDIS__URL": {"name": "theirs", "key": "u"},
        "HUBBUB_REDIS__PASSWORD": {"name": "theirs", "key": "p"},
    }
    assert used["HUBBUB_AUTH__SECRET"]["valueFrom"]["secretKeyRef"] == {"name": "mine", "key": "a"}


def test_generated_secrets_are_long_and_differ():
    first = decoded(one(render(), "Secret"))
    second = decoded(one(render(again=True), "Secret"))
    assert set(first) == {"auth-secret", "api-key"}
    assert all(len(value) >= 48 and value.isalnum() for value in first.values())
    assert len({*first.values(), *second.values()}) == 4


def upgrade(secrets, tmp_path, *sets):
    """The manifests of an upgrade in a cluster that holds these Secrets."""
    text = ask_cluster(tmp_path, secrets, "template", "--is-upgrade", "--kube-version", OLDEST, *sets)
    return documents(text)


def test_generated_secrets_survive_an_upgrade(tmp_path):
    development = ("--set", "devRedis.enabled=true")
    first = upgrade({}, tmp_path, *development)
    held = {m["metadata"]["name"]: m["data"] for m in first if m["kind"] == "Secret"}
    assert set(held) == {"t-hubbub", "t-hubbub-redis"}
    second = upgrade(held, tmp_path, *development)
    assert {m["metadata"]["name"]: m["data"] for m in second if m["kind"] == "Secret"} == held
    # Nothing has changed, so no pod is replaced.
    assert one(second, "Deployment") == one(first, "Deployment")
    # What is said explicitly wins, and pods are replaced.
    third = upgrade(held, tmp_path, *development, "--set", "secrets.apiKey=another-key-of-the-api")
    assert decoded(one(third, "Secret", "t-hubbub"))["api-key"] == "another-key-of-the-api"
    assert one(third, "Secret", "t-hubbub")["data"]["auth-secret"] == held["t-hubbub"]["auth-secret"]
    assert one(third, "Deployment") != one(first, "Deployment")
