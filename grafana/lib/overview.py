"""Are users well served?"""

from .describe import Dashboard, Panel, Query, Row, Stat, count, quantile, rate

NOW = Row("Now", [
    Stat(
        "Nodes ready", "Nodes that take new connections. Fewer than you run: one drains, or says on `/ready` why it "
        "is not ready. Open the cluster dashboard.",
        [Query("sum(hubbub_ready)", "ready")],
        bad=0.5, low=True, alert="HubbubNodeNotReady",
    ),
    Stat(
        "Open sockets", "All dialects, all nodes. A sudden fall is a cut in front of hubbub or a drain: compare with "
        "'Closed by code' on the clients dashboard.",
        [Query("sum(hubbub_connections)", "sockets")],
    ),
    Stat(
        "Users online", "Users who show online, away, dnd or ooo. Each node counts those that it has devices of, so "
        "somebody on two nodes counts twice.",
        [Query('sum(hubbub_users{status!="offline"})', "users")],
    ),
    Stat(
        "Delivery p99, durable", "From the accepted publish to the written socket. Above 0.5 s the service "
        "level is at risk: look at the hub buffers and the tail lag of each node, then at Redis.",
        [Query(quantile(0.99, "hubbub_delivery_seconds", where='{class="durable"}'), "p99")],
        unit="s", warn=0.1, bad=0.5, alert="HubbubDeliverySloBurnFast",
    ),
    Stat(
        "Within 0.5 s, last hour", "Share of durable events that were written within 0.5 s. The alerts watch how fast "
        "what is allowed to miss (0.1 %) is used up.",
        [Query(
            'sum(increase(hubbub_delivery_seconds_bucket{class="durable",le="0.5"}[1h]))'
            ' / sum(increase(hubbub_delivery_seconds_count{class="durable"}[1h]))', "share"
        )],
        unit="percentunit", warn=0.9999, bad=0.999, low=True, alert="HubbubDeliverySloBurnSlow",
    ),
    Stat(
        "Resets, last hour", "Connections that had to begin anew, so that their clients fetched everything again. "
        "Some are normal after long absences; the panel 'Resets by cause' says which kind they are.",
        [Query('sum(increase(hubbub_resets_total{cause!="forbidden"}[1h]))', "resets")],
        warn=10, bad=1000, alert="HubbubResets",
    ),
])

DELIVERY = Row("Delivery", [
    Panel(
        "Delivery time", "From the accepted publish to the written socket, per class. The p99 rises first when hubs "
        "are behind: look at 'Buffer fill' on the node dashboard. Rises on all nodes at once: Redis, see the cluster "
        "dashboard.",
        [
            Query(quantile(0.5, "hubbub_delivery_seconds", "class"), "{{class}} p50"),
            Query(quantile(0.99, "hubbub_delivery_seconds", "class"), "{{class}} p99"),
        ],
        unit="s", bad=0.5, alert="HubbubDeliverySloBurnFast",
    ),
    Panel(
        "Deliveries", "Events written to sockets, per class. `noop` only keeps the count where a body was withheld. "
        "Falls while publishing goes on: members have left, or a node does not deliver.",
        [rate("hubbub_deliveries_total", "class")],
        unit="cps", stack=True,
    ),
    Panel(
        "Published events", "What backends and clients offered to the log, per kind. `control` are changes of "
        "members and revocations.",
        [rate("hubbub_events_published_total", "kind")],
        unit="cps", stack=True,
    ),
    Panel(
        "Publishes that were not accepted", "`unavailable`: the log did not answer, and the caller was told to try "
        "again (503). `refused` and `conflict` are faults of the caller. `duplicate` is a retry that worked.",
        [rate('hubbub_events_published_total{result!="accepted"}', "result")],
        unit="cps", bad=1, alert="HubbubRedisDown",
    ),
    Panel(
        "Publish time", "How long the log took to answer a publish. With Redis this is its script and the way there; "
        "above 100 ms look at 'Redis: calls and time' on the cluster dashboard.",
        [
            Query(quantile(0.5, "hubbub_publish_seconds"), "p50"),
            Query(quantile(0.99, "hubbub_publish_seconds"), "p99"),
        ],
        unit="s", warn=0.1,
    ),
    Panel(
        "Withheld bodies", "Events that went out as a no-op. `pressure`: outboxes were half full, so clients or their "
        "networks are slow; `scope` is normal (typing in a channel that is not shown); `replayed` follows resumes.",
        [rate("hubbub_bodies_withheld_total", "reason")],
        unit="cps", stack=True,
    ),
])

CONNECTIONS = Row("Connections", [
    Panel(
        "Open sockets by dialect", "A cliff is a cut, a drain or a deploy; a climb without more users is clients that "
        "open a socket again and again: see 'Opened' on the clients dashboard.",
        [Query("sum by (dialect) (hubbub_connections)", "{{dialect}}")],
        stack=True,
    ),
    Panel(
        "Resumes, ten minutes", "How attempts to go on ended. `lossless` missed nothing, `replayed` got what was "
        "missed, `reset` had to begin anew. A burst of replays follows each cut or drain and is what resuming is for.",
        [count("hubbub_resumes_total", "result")],
    ),
    Panel(
        "Resets by cause, ten minutes", "`retention` and `replay_limit`: clients were away for longer than the log "
        "reaches, raise `log.retention_events` or `limits.resume_replay_events`. `generation`: Redis lost or changed "
        "its history. `unknown`: the session record is gone. `ahead`: the client counts wrongly.",
        [count("hubbub_resets_total", "cause")],
        alert="HubbubResets",
    ),
    Panel(
        "Users by status", "What users show. If all fall to offline at once, nodes lost their connections; if none "
        "ever do, presence is not written: see 'Presence writes' on the cluster dashboard.",
        [Query("sum by (status) (hubbub_users)", "{{status}}")],
        stack=True,
    ),
    Panel(
        "Slow consumers, ten minutes", "Sockets closed with 4431 because their peer did not read. They can resume. "
        "Many at once: a slow network between, or more traffic than phones can take.",
        [count("hubbub_slow_consumers_total", "dialect")],
        alert="HubbubSlowConsumers",
    ),
    Panel(
        "Lives of realms that ended, ten minutes", "Each disconnects all sockets of a realm on a node, because the log "
        "could not go on. `generation`: Redis came back with less than was seen. `retention`: the node was away for "
        "longer than the log reaches.",
        [count("hubbub_realm_losses_total", "cause")],
        bad=1, alert="HubbubResets",
    ),
])

ERRORS = Row("Errors", [
    Panel(
        "Rejections by stage", "What was refused, per stage. `limit`: somebody is over a limit; `auth`: tokens; "
        "`handshake` and `frame`: broken or hostile clients. Reasons are on the clients dashboard.",
        [rate("hubbub_rejections_total", "stage")],
        unit="cps", alert="HubbubRejectionsSurge",
    ),
    Panel(
        "HTTP answers", "By class of status, for requests and upgrades (101). 5xx are ours: 503 with "
        "`Retry-After` while Redis is away or a node drains.",
        [Query(
            'sum by (class) (label_replace(label_replace(rate(hubbub_http_requests_total[rate]),'
            ' "class", "other", "status", "other"), "class", "${1}xx", "status", "([0-9]).*"))',
            "{{class}}",
        )],
        unit="reqps",
    ),
    Panel(
        "Panics and accept errors, ten minutes", "Should be flat at 0. A panic costs one socket: send its log line to "
        "the developers. Accept errors are mostly file descriptors that ran out: raise `ulimit -n`.",
        [
            Query("sum(increase(hubbub_session_panics_total[10m]))", "panics"),
            Query("sum by (listener) (increase(hubbub_http_accept_errors_total[10m]))", "accept errors, {{listener}}"),
        ],
        bad=1, alert="HubbubDescriptorsNearlyUsed",
    ),
])

DASHBOARD = Dashboard(
    "overview", "hubbub / overview",
    "Are users well served? Begin here; the links at the top lead to nodes, the cluster and its clients.",
    [NOW, DELIVERY, CONNECTIONS, ERRORS],
)
