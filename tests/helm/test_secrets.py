"""Secrets are in Secrets and nowhere else, and what was generated stays.

Method: values with recognisable secrets are rendered and searched for; for upgrades helm asks a small server that
answers like the API of a cluster which holds the Secret of the earlier release.
"""

import base64
import contextlib
import http.server
import json
import os
import subprocess
import threading

import pytest
import yaml

from conftest import CHART, CI, HELM, OLDEST, decoded, one, pod, render, variables

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
    second = decoded(one(render(), "Secret"))
    assert set(first) == {"auth-secret", "api-key"}
    assert all(len(value) >= 48 and value.isalnum() for value in first.values())
    assert len({*first.values(), *second.values()}) == 4


class Cluster(http.server.BaseHTTPRequestHandler):
    """Answers helm's questions about Secrets, from `secrets`."""

    secrets = {}
    kinds = [{"name": "secrets", "kind": "Secret", "namespaced": True, "verbs": ["get"], "singularName": "secret"}]

    def do_GET(self):
        path = self.path.split("?")[0].rstrip("/")
        name = path.removeprefix("/api/v1/namespaces/ns/secrets/")
        answers = {
            "/version": {"major": "1", "minor": "30", "gitVersion": f"v{OLDEST}"},
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
            "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": self.kinds},
        }
        answer = answers.get(path)
        if answer is None and name in self.secrets:
            answer = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": self.secrets[name]}
        body = answer or {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
        text = json.dumps(body).encode()
        self.send_response(200 if answer else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def cluster(secrets):
    handler = type("Holding", (Cluster,), {"secrets": secrets})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def upgrade(secrets, tmp_path, *sets):
    """The manifests of an upgrade in a cluster that holds these Secrets."""
    with cluster(secrets) as port:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "users": [{"name": "u", "user": {}}],
            "current-context": "c",
        }
        file = tmp_path / "kubeconfig"
        file.write_text(yaml.safe_dump(config))
        command = [HELM, "template", "t", CHART, "--namespace", "ns", "--is-upgrade", "--dry-run=server", *sets]
        environment = {**os.environ, "KUBECONFIG": str(file), "HELM_CACHE_HOME": str(tmp_path)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


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
