"""What values of the chart may be, where their defaults in values.yaml do not say it.

Each entry of FRAGMENTS is a piece of JSON Schema for the value at that path. Objects of Kubernetes are
described so far that a misspelled field is refused here, and not by the cluster.
"""


def closed(properties, required=()):
    """An object with these fields and no other."""
    schema = {"type": "object", "additionalProperties": False, "properties": properties}
    if required:
        schema["required"] = list(required)
    return schema


def listed(items, **more):
    return {"type": "array", "items": items, **more}


def choice(*names):
    return {"type": "string", "enum": list(names)}


def text(pattern=None, **more):
    return {"type": "string", **({"pattern": pattern} if pattern else {}), **more}


def whole(minimum=0, maximum=None):
    schema = {"type": "integer", "minimum": minimum}
    if maximum is not None:
        schema["maximum"] = maximum
    return schema


def maybe(schema):
    """The same, or nothing."""
    return {**schema, "type": [schema["type"], "null"]}


SWITCH = {"type": "boolean"}
TEXT = text()
ANY = {"type": "object"}
STRINGS = {"type": "object", "additionalProperties": TEXT}
# Labels of Kubernetes objects: what they may hold.
LABELS = {"type": "object", "additionalProperties": text(r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", maxLength=63)}
# Up to 40 letters stay: see templates/_names.tpl.
NAME = text(r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$", maxLength=253)
# What a Service may be called.
SERVICE_NAME = text(r"^([a-z]([-a-z0-9]*[a-z0-9])?)?$", maxLength=253)
OBJECT = text(r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$", maxLength=253)
KEY = text(r"^[-._a-zA-Z0-9]+$", maxLength=253)
MAYBE_KEY = text(r"^[-._a-zA-Z0-9]*$", maxLength=253)
PORT = whole(1, 65535)
COUNT_OR_PERCENT = {"type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]+%$"}
COUNT_OR_PART = {**COUNT_OR_PERCENT, "pattern": "^([0-9]{1,2}|100)%$"}
MAYBE_COUNT_OR_PART = {**COUNT_OR_PART, "type": ["integer", "string", "null"]}
QUANTITY = {"type": ["string", "number"], "pattern": r"^[0-9]+(\.[0-9]+)?([munkKMGTPE]i?)?$", "minimum": 0}
QUANTITIES = {"type": "object", "additionalProperties": QUANTITY}
RESOURCES = closed({"requests": QUANTITIES, "limits": QUANTITIES, "claims": listed(closed({"name": TEXT, "request": TEXT}, ["name"]))})
# Durations of Prometheus and of the Gateway API.
DURATION = text(r"^([0-9]+(h|m|s|ms))+$")
SELECTOR = closed(
    {
        "matchLabels": STRINGS,
        "matchExpressions": listed(
            closed({"key": TEXT, "operator": TEXT, "values": listed(TEXT)}, ["key", "operator"])
        ),
    }
)
PEERS = listed(
    closed(
        {
            "podSelector": SELECTOR,
            "namespaceSelector": SELECTOR,
            "ipBlock": closed({"cidr": TEXT, "except": listed(TEXT)}, ["cidr"]),
        }
    )
)
RELABELINGS = listed(
    closed(
        {
            "sourceLabels": listed(TEXT),
            "separator": TEXT,
            "targetLabel": TEXT,
            "regex": TEXT,
            "modulus": whole(),
            "replacement": TEXT,
            "action": TEXT,
        }
    )
)
PROBE = closed(
    {
        "initialDelaySeconds": whole(),
        "periodSeconds": whole(1),
        "timeoutSeconds": whole(1),
        "successThreshold": whole(1),
        "failureThreshold": whole(1),
        "terminationGracePeriodSeconds": whole(1),
    }
)
# Kubernetes takes nothing else for these two.
ONE_SUCCESS = {**PROBE, "properties": {**PROBE["properties"], "successThreshold": whole(1, 1)}}
SECCOMP = closed(
    {"type": choice("RuntimeDefault", "Localhost", "Unconfined"), "localhostProfile": TEXT}, ["type"]
)
SE_LINUX = closed({"level": TEXT, "role": TEXT, "type": TEXT, "user": TEXT})
APP_ARMOR = closed({"type": TEXT, "localhostProfile": TEXT}, ["type"])
USERS = {"runAsNonRoot": SWITCH, "runAsUser": whole(), "runAsGroup": whole()}
POD_SECURITY = closed(
    {
        **USERS,
        "fsGroup": whole(),
        "fsGroupChangePolicy": choice("OnRootMismatch", "Always"),
        "supplementalGroups": listed(whole()),
        "supplementalGroupsPolicy": choice("Merge", "Strict"),
        "seccompProfile": SECCOMP,
        "seLinuxOptions": SE_LINUX,
        "appArmorProfile": APP_ARMOR,
        "sysctls": listed(closed({"name": TEXT, "value": TEXT}, ["name", "value"])),
    }
)
SECURITY = closed(
    {
        **USERS,
        "allowPrivilegeEscalation": SWITCH,
        "privileged": SWITCH,
        "readOnlyRootFilesystem": SWITCH,
        "capabilities": closed({"drop": listed(TEXT), "add": listed(TEXT)}),
        "seccompProfile": SECCOMP,
        "seLinuxOptions": SE_LINUX,
        "appArmorProfile": APP_ARMOR,
        "procMount": TEXT,
    }
)
SCALING = closed(
    {
        "stabilizationWindowSeconds": whole(0, 3600),
        "selectPolicy": choice("Max", "Min", "Disabled"),
        "policies": listed(
            closed(
                {"type": choice("Pods", "Percent"), "value": whole(1), "periodSeconds": whole(1, 1800)},
                ["type", "value", "periodSeconds"],
            )
        ),
    }
)
KEY_OF = closed({"name": TEXT, "key": TEXT, "optional": SWITCH}, ["name", "key"])
ENV = listed(
    closed(
        {
            "name": text(r"^[-._a-zA-Z][-._a-zA-Z0-9]*$"),
            "value": TEXT,
            "valueFrom": {
                **closed(
                    {
                        "configMapKeyRef": KEY_OF,
                        "secretKeyRef": KEY_OF,
                        "fieldRef": closed({"apiVersion": TEXT, "fieldPath": TEXT}, ["fieldPath"]),
                        "resourceFieldRef": closed(
                            {"containerName": TEXT, "resource": TEXT, "divisor": QUANTITY}, ["resource"]
                        ),
                    }
                ),
                "minProperties": 1,
                "maxProperties": 1,
            },
        },
        ["name"],
    )
)
SOURCES = (
    "awsElasticBlockStore azureDisk azureFile cephfs configMap csi downwardAPI emptyDir ephemeral fc flexVolume "
    "gcePersistentDisk hostPath image iscsi nfs persistentVolumeClaim portworxVolume projected rbd scaleIO secret "
    "vsphereVolume"
)
VOLUMES = listed(closed({"name": TEXT, **{source: ANY for source in SOURCES.split()}}, ["name"]))
WHEN = ("requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution")
AFFINITY = closed(
    {
        "nodeAffinity": closed({WHEN[0]: closed({"nodeSelectorTerms": listed(ANY)}), WHEN[1]: listed(ANY)}),
        "podAffinity": closed({when: listed(ANY) for when in WHEN}),
        "podAntiAffinity": closed({when: listed(ANY) for when in WHEN}),
    }
)
EGRESS = listed(
    closed(
        {
            "to": PEERS,
            "ports": listed(
                closed(
                    {
                        "protocol": choice("TCP", "UDP", "SCTP"),
                        "port": {"type": ["integer", "string"], "minimum": 1, "maximum": 65535},
                        "endPort": PORT,
                    }
                )
            ),
        }
    )
)
MOUNTS = listed(
    closed(
        {
            "name": TEXT,
            "mountPath": text("^/"),
            "subPath": TEXT,
            "subPathExpr": TEXT,
            "readOnly": SWITCH,
            "mountPropagation": TEXT,
            "recursiveReadOnly": TEXT,
        },
        ["name", "mountPath"],
    )
)
TOLERATIONS = listed(
    closed(
        {
            "key": TEXT,
            "operator": choice("Exists", "Equal"),
            "value": TEXT,
            "effect": choice("NoSchedule", "PreferNoSchedule", "NoExecute"),
            "tolerationSeconds": whole(),
        }
    )
)
PARENTS = listed(
    closed(
        {
            "group": TEXT,
            "kind": TEXT,
            "namespace": TEXT,
            "name": TEXT,
            "sectionName": TEXT,
            "port": PORT,
        },
        ["name"],
    )
)
HOSTS = listed(
    closed(
        {
            "host": TEXT,
            "paths": listed(
                closed(
                    {
                        "path": text("^/"),
                        "pathType": choice("Prefix", "Exact", "ImplementationSpecific"),
                    },
                    ["path"],
                )
            ),
        }
    ),
    minItems=1,
)

# Fields of the arrays of tables; what is secret in them comes as a file.
ALGORITHMS = choice(
    *("HS256 HS384 HS512 RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 EdDSA".split())
)
TABLES = {
    "auth.keys": listed(
        closed(
            {"kid": text(minLength=1), "algorithm": ALGORITHMS, "secret_file": TEXT, "public_key_file": TEXT},
            ["kid", "algorithm"],
        )
    ),
    "internal.api_keys": listed(
        closed({"name": text(minLength=1), "key_file": TEXT, "realms": listed(TEXT)}, ["name", "key_file"])
    ),
}

FRAGMENTS = {
    "nameOverride": NAME,
    "fullnameOverride": SERVICE_NAME,
    "commonLabels": LABELS,
    "imagePullSecrets": listed(closed({"name": TEXT}, ["name"])),
    "image.repository": text(minLength=1),
    "image.tag": text(r"^([A-Za-z0-9_][-A-Za-z0-9_.]*)?$", maxLength=128),
    "image.digest": text(r"^(sha256:[0-9a-f]{64})?$"),
    "image.pullPolicy": choice("Always", "IfNotPresent", "Never"),
    "secrets.existingSecret": OBJECT,
    "secrets.authSecret": text("^$|^.{32}", description="Not shorter than 32 bytes."),
    "secrets.apiKey": text("^[!-~]*$"),
    "secrets.authSecretKey": KEY,
    "secrets.apiKeyKey": KEY,
    "keyFiles.existingSecret": OBJECT,
    "keyFiles.files": {**STRINGS, "propertyNames": KEY},
    "redis.url": text(r"^(rediss?://[^,\s?#]+(,rediss?://[^,\s?#]+)*)?$"),
    "redis.existingSecret.name": OBJECT,
    "redis.existingSecret.urlKey": MAYBE_KEY,
    "redis.existingSecret.passwordKey": MAYBE_KEY,
    "redis.ca.existingConfigMap": OBJECT,
    "redis.ca.existingSecret": OBJECT,
    "redis.ca.key": KEY,
    "tls.existingSecret": OBJECT,
    "caBundle.existingConfigMap": OBJECT,
    "caBundle.key": KEY,
    "persistence.existingClaim": OBJECT,
    "persistence.size": QUANTITY,
    "persistence.accessModes": listed(
        choice("ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"), minItems=1
    ),
    "persistence.annotations": STRINGS,
    "service.type": choice("ClusterIP", "NodePort", "LoadBalancer"),
    "service.port": PORT,
    "service.nodePort": maybe(PORT),
    "service.annotations": STRINGS,
    "service.loadBalancerSourceRanges": listed(TEXT),
    "service.externalTrafficPolicy": choice("", "Cluster", "Local"),
    "service.ipFamilyPolicy": choice("", "SingleStack", "PreferDualStack", "RequireDualStack"),
    "internalService.port": PORT,
    "internalService.annotations": STRINGS,
    "ingress.annotations": STRINGS,
    "ingress.hosts": HOSTS,
    "ingress.tls": listed(closed({"secretName": TEXT, "hosts": listed(TEXT)})),
    "httpRoute.parentRefs": PARENTS,
    "httpRoute.hostnames": listed(TEXT),
    "httpRoute.labels": LABELS,
    "httpRoute.annotations": STRINGS,
    "httpRoute.timeouts.request": DURATION,
    "httpRoute.timeouts.backendRequest": DURATION,
    "networkPolicy.publicFrom": PEERS,
    "networkPolicy.internalFrom": PEERS,
    "networkPolicy.egress.to": EGRESS,
    "autoscaling.minReplicas": whole(1),
    "autoscaling.maxReplicas": whole(1),
    "autoscaling.cpu.averageUtilization": whole(1, 1000),
    "autoscaling.connections.average": whole(1),
    "autoscaling.connections.adapter": choice("prometheus-adapter", "kube-metrics-adapter"),
    "autoscaling.connections.prometheusServer": text("^https?://"),
    "autoscaling.annotations": STRINGS,
    "autoscaling.behavior": closed({"scaleUp": SCALING, "scaleDown": SCALING}),
    "podDisruptionBudget.maxUnavailable": MAYBE_COUNT_OR_PART,
    "podDisruptionBudget.minAvailable": MAYBE_COUNT_OR_PART,
    "updateStrategy": closed(
        {
            "type": choice("RollingUpdate", "Recreate"),
            "rollingUpdate": {
                **closed({"maxSurge": COUNT_OR_PERCENT, "maxUnavailable": COUNT_OR_PART}),
                "type": ["object", "null"],
            },
        },
        ["type"],
    ),
    "minReadySeconds": maybe(whole()),
    "terminationGracePeriodSeconds": maybe(whole(1)),
    "topologySpread.whenUnsatisfiable": choice("ScheduleAnyway", "DoNotSchedule"),
    "resources": RESOURCES,
    "probes.startup": {**ONE_SUCCESS, "required": ["periodSeconds"]},
    "probes.liveness": ONE_SUCCESS,
    "probes.readiness": PROBE,
    "serviceAccount.name": OBJECT,
    "serviceAccount.annotations": STRINGS,
    "podSecurityContext": POD_SECURITY,
    "securityContext": SECURITY,
    "podAnnotations": STRINGS,
    "podLabels": LABELS,
    "nodeSelector": LABELS,
    "tolerations": TOLERATIONS,
    "affinity": AFFINITY,
    "extraEnv": ENV,
    "extraVolumes": VOLUMES,
    "extraVolumeMounts": MOUNTS,
    "serviceMonitor.labels": LABELS,
    "serviceMonitor.interval": DURATION,
    "serviceMonitor.scrapeTimeout": DURATION,
    "serviceMonitor.relabelings": RELABELINGS,
    "serviceMonitor.metricRelabelings": RELABELINGS,
    "prometheusRule.labels": LABELS,
    "prometheusRule.alertLabels": STRINGS,
    "dashboards.namespace": OBJECT,
    "dashboards.labels": LABELS,
    "dashboards.annotations": STRINGS,
    "devRedis.size": text(r"^([0-9]+([KMGT]i?)?)?$"),
    "devRedis.resources": RESOURCES,
}
