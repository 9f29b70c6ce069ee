"""Who connects, how they leave, and who is refused."""

from .describe import Dashboard, Panel, Query, Row, busy, count, quantile, rate

SOCKETS = Row("Sockets", [
    Panel(
        "Open sockets", "By dialect. A dialect that you do not use should be at 0: turn it off "
        "(`dialects.NAME.enabled`).",
        [Query("sum by (dialect) (hubbub_connections)", "{{dialect}}")],
        stack=True,
    ),
    Panel(
        "Opened", "Upgrades per second. A steady rate without more open sockets: clients reconnect in a loop; see "
        "'Closed by code'. Above `limits.handshakes_per_second` nodes answer 503 with `Retry-After`.",
        [rate("hubbub_sockets_opened_total", "dialect")],
        unit="cps",
    ),
    Panel(
        "Deliveries", "Events written to sockets, by dialect.",
        [rate("hubbub_deliveries_total", "dialect")],
        unit="cps", stack=True,
    ),
    Panel(
        "Closed by code", "Close codes that happened: 1000, 1001 and 1005 are clients that leave; 1006 networks that "
        "break (a proxy with a short idle timeout?); 1012 drains and restarts of the log; 1013 nodes without Redis; "
        "4401 and 4419 tokens; 4409 resumed elsewhere; 4429 over a limit; 4431 slow readers.",
        [busy("hubbub_sockets_closed_total", "code", "rate")],
        unit="cps", width=12,
    ),
    Panel(
        "Closed by dialect, ten minutes", "With 'Opened' it tells how long sockets live.",
        [count("hubbub_sockets_closed_total", "dialect")],
        width=12,
    ),
])

SLOW = Row("Slow clients and resumes", [
    Panel(
        "Slow consumers, ten minutes", "Closed with 4431, by dialect. A client that comes back slow again and again: "
        "it computes in its read loop, or gets more than it needs; see `to` of what is published.",
        [count("hubbub_slow_consumers_total", "dialect")],
        alert="HubbubSlowConsumers",
    ),
    Panel(
        "Withheld bodies", "No-ops instead of events: `pressure` before an outbox is full, `scope` for typing in "
        "channels that are not shown, `replayed` for ephemeral events after a resume.",
        [rate("hubbub_bodies_withheld_total", "reason")],
        unit="cps",
    ),
    Panel(
        "Outboxes", "Bytes that wait in front of all sockets (lines), and events (dashed).",
        [Query("sum(hubbub_outbox_bytes)", "bytes"), Query("sum(hubbub_outbox_events)", "events", "short")],
        unit="bytes",
    ),
    Panel(
        "Resumes", "By result. `forbidden` is somebody with the connection id of somebody else: a bug in a client, or an "
        "attack.",
        [rate("hubbub_resumes_total", "result")],
        unit="cps",
    ),
    Panel(
        "Resumes that replayed or missed nothing", "Share of all. Near 1 is what resuming is for. Falls: see the "
        "causes beside it. 1 when nobody resumed.",
        [Query(
            'sum(increase(hubbub_resumes_total{result=~"replayed|lossless"}[10m]))'
            " / (sum(increase(hubbub_resumes_total[10m])) > 0) or 1 + 0 * sum(hubbub_ready)", "share",
        )],
        unit="percentunit", bad=0.9, low=True, highest=1, alert="HubbubResets",
    ),
    Panel(
        "Resets by cause, ten minutes", "`retention`, `replay_limit`: away for too long. `generation`: Redis lost its "
        "history. `unknown`: a session older than its record. `ahead`: the client counts wrongly.",
        [count("hubbub_resets_total", "cause")],
        alert="HubbubResets",
    ),
])

REFUSED = Row("Refusals", [
    Panel(
        "Rejections by stage", "Where clients are refused. A new plateau after a release of a client is that client.",
        [rate("hubbub_rejections_total", "stage")],
        unit="cps", alert="HubbubRejectionsSurge",
    ),
    Panel(
        "Reasons, ten minutes", "What was counted within ten minutes. docs/metrics.md lists what there is; the "
        "guide has what to do for each stage.",
        [busy("hubbub_rejections_total", "stage, reason")],
        alert="HubbubRejectionsSurge",
    ),
    Panel(
        "Limits, ten minutes", "Who is over which limit. `connections_per_ip` with a proxy in front: name it in "
        "`public.trusted_proxies`. `handshakes` after a cut is admission at work.",
        [busy('hubbub_rejections_total{stage="limit"}', "reason")],
    ),
    Panel(
        "Tokens and keys, ten minutes", "`token_expired` comes from clients that do not renew; `token_signature` and "
        "`token_unknown_key` from a key that was rotated on one side only; `missing` from crawlers.",
        [busy('hubbub_rejections_total{stage="auth"}', "reason")],
    ),
    Panel(
        "Protocol, ten minutes", "What was wrong with frames and messages. `pong_timeout` is a peer that went away "
        "without a word; the others are bugs of clients, or attacks.",
        [busy('hubbub_rejections_total{stage=~"frame|message"}', "stage, reason")],
    ),
    Panel(
        "HTTP and handshakes, ten minutes", "`origin`: a page that `public.allowed_origins` does not name. `draining` "
        "and `log_away`: come back later, which clients do.",
        [busy('hubbub_rejections_total{stage=~"http|handshake|api"}', "stage, reason")],
    ),
])

HTTP = Row("HTTP", [
    Panel(
        "Requests by route", "Routes of both listeners that were asked; `/metrics` is Prometheus itself.",
        [busy("hubbub_http_requests_total", "route", "rate")],
        unit="reqps",
    ),
    Panel(
        "Answers by status", "Statuses that happened. 429: over a limit. 503: no Redis, or draining. 401: tokens and keys.",
        [busy("hubbub_http_requests_total", "status", "rate")],
        unit="reqps",
    ),
    Panel(
        "Request time p99", "Over all routes but `/metrics`: from the complete head to the answer, and up to the 101 of "
        "upgrades. Upgrades wait for Redis (`open`, `claim`), publishes for the log.",
        [
            # Over ten minutes: most sockets are opened seldom.
            Query(quantile(0.99, "hubbub_http_request_seconds", where='{status="101"}[10m]'), "upgrades"),
            Query(quantile(0.99, "hubbub_http_request_seconds", where='{status!="101",route!="/metrics"}'), "requests"),
        ],
        unit="s", warn=0.5,
    ),
])

DASHBOARD = Dashboard(
    "clients", "hubbub / clients",
    "Who connects, how they leave, who reads too slowly and who is refused.",
    [SOCKETS, SLOW, REFUSED, HTTP],
)
