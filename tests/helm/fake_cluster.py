"""A server that answers helm like the API of a cluster: its version, and the Secrets that it holds."""

import contextlib
import http.server
import json
import os
import subprocess
import threading

import yaml

from conftest import CHART, HELM, OLDEST, Refused


# What the chart makes, by group and version.
KINDS = {
    "v1": ["Secret", "ConfigMap", "Service", "ServiceAccount", "PersistentVolumeClaim", "Pod"],
    "apps/v1": ["Deployment", "StatefulSet"],
    "policy/v1": ["PodDisruptionBudget"],
    "networking.k8s.io/v1": ["Ingress", "NetworkPolicy"],
    "autoscaling/v2": ["HorizontalPodAutoscaler"],
    "gateway.networking.k8s.io/v1": ["HTTPRoute"],
    "monitoring.coreos.com/v1": ["ServiceMonitor", "PrometheusRule"],
}


def resources(version):
    """The answer about one version of a group."""
    found = [
        {"name": kind.lower() + "s", "singularName": kind.lower(), "kind": kind, "namespaced": True, "verbs": ["get"]}
        for kind in KINDS[version]
    ]
    return {"kind": "APIResourceList", "groupVersion": version, "resources": found}


def groups():
    found = []
    for version in KINDS:
        if "/" in version:
            name, number = version.split("/")
            entry = {"groupVersion": version, "version": number}
            found.append({"name": name, "versions": [entry], "preferredVersion": entry})
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": found}


class Cluster(http.server.BaseHTTPRequestHandler):
    """Answers helm's questions; it holds `secrets`."""

    secrets = {}

    def do_GET(self):
        path = self.path.split("?")[0].rstrip("/")
        name = path.removeprefix("/api/v1/namespaces/ns/secrets/")
        answers = {
            "/version": {"major": "1", "minor": "30", "gitVersion": f"v{OLDEST}"},
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/apis": groups(),
            "/api/v1": resources("v1"),
            **{f"/apis/{version}": resources(version) for version in KINDS if "/" in version},
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


def ask_cluster(tmp_path, secrets, command, *arguments):
    """Runs `helm COMMAND t CHART --dry-run=server` in a cluster that holds these Secrets."""
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
        done = subprocess.run(
            [HELM, command, "t", CHART, "--namespace", "ns", "--dry-run=server", *map(str, arguments)],
            env={**os.environ, "KUBECONFIG": str(file), "HELM_CACHE_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    if done.returncode:
        raise Refused(done.stderr)
    return done.stdout
