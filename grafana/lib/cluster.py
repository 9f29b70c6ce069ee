"""Nodes among each other, and Redis between them."""

from .describe import Dashboard, Panel, Query, Row, Stat, busy, count, quantile, rate

NOW = Row("Nodes", [
    Stat(
        "Nodes", "Nodes that Prometheus sees, ready or not. Fewer than you run: one does not start, see its log.",
        [Query("count(hubbub_ready)", "nodes")],
    ),
    Stat(
        "Not ready", "Nodes that take no new connections now, draining ones included. `/ready` of each says why.",
        [Query("sum(1 - hubbub_ready)", "nodes")],
        warn=1, bad=2, alert="HubbubNodeNotReady",
    ),
    Stat(
        "Busiest / average", "Connections of the busiest node against the average. Above 1.5: the balancer does not "
        "spread (after a roll-out clients come back where they can). Use least connections, or drain the busiest node.",
        [Query(
            "max(sum by (instance) (hubbub_connections)) / clamp_min(avg(sum by (instance) (hubbub_connections)), 1)",
            "skew",
        )],
        warn=1.5, bad=3,
    ),
    Stat(
        "Published", "Events that the log accepted, per second, over all nodes. One realm is bounded by one Redis "
        "primary; the table in docs/operations.md has what was measured.",
        [Query('sum(rate(hubbub_events_published_total{result="accepted"}[rate]))', "events")],
        unit="cps",
    ),
    Stat(
        "Lease lapses, ten minutes", "Times that a node was silent for longer than its lease. It sent nothing until it "
        "knew what it still holds. Look for a pause: CPU quota, swap, a frozen host, Redis away.",
        [Query("sum(increase(hubbub_lease_lapses_total[10m]))", "lapses")],
        warn=1, bad=10, alert="HubbubLeaseLost",
    ),
    Stat(
        "Lives ended, ten minutes", "Each disconnected all sockets of a realm on one node, because the log could not go "
        "on. After a failover that lost writes this is meant to happen; else see the log of Redis.",
        [Query("sum(increase(hubbub_realm_losses_total[10m]))", "lives")],
        bad=1, alert="HubbubResets",
    ),
])

SKEW = Row("Skew over nodes", [
    Panel(
        "Connections by node", "Should be about the same for all. A new node fills slowly, as sockets live long.",
        [Query("sum by (instance) (hubbub_connections)")],
    ),
    Panel(
        "Deliveries by node", "Follows the connections. A node with connections and without deliveries is deaf: "
        "compare 'Tail lag by node', and restart it.",
        [rate("hubbub_deliveries_total", "instance")],
        unit="cps",
    ),
    Panel(
        "Tail lag by node", "Behind on one node: that node, its CPU or its network. Behind on all: Redis.",
        [Query("hubbub_tail_lag_seconds")],
        unit="s", warn=0.5, bad=2, alert="HubbubTailLag",
    ),
])

LEASES = Row("Leases and generations", [
    Panel(
        "Lease renewals", "Each node renews its lease every `cluster.heartbeat`. `failed`: Redis did not answer. "
        "`taken`: another node runs under the same `node.id`, and this one stops; give each its own.",
        [rate("hubbub_lease_renewals_total", "result")],
        unit="cps", alert="HubbubLeaseLost",
    ),
    Panel(
        "Lease lapses, ten minutes", "By node, for each realm. One node only: that machine was paused. All: Redis.",
        [count("hubbub_lease_lapses_total", "instance")],
        alert="HubbubLeaseLost",
    ),
    Panel(
        "Generations, ten minutes", "A restart or failover of Redis begins a generation. `adopted`: proved whole, "
        "nobody noticed. `lost`: connections began anew. With profile `ha` and a replica, `lost` should stay at 0.",
        [
            Query("sum(increase(hubbub_generations_adopted_total[10m]))", "adopted"),
            Query('sum by (cause) (increase(hubbub_realm_losses_total[10m]))', "lost: {{cause}}"),
        ],
        alert="HubbubResets",
    ),
    Panel(
        "Published by node", "What each node's backends and clients published. On one node only: backends use one "
        "address instead of a balanced one, which is fine but not for its CPU.",
        [rate('hubbub_events_published_total{result="accepted"}', "instance")],
        unit="cps",
    ),
    Panel(
        "Catch-ups, ten minutes", "Times that tails had to read from the log instead of hearing it. Some after each "
        "reconnect. Steady `gap`: Redis or the network drops messages.",
        [count("hubbub_tail_catchups_total", "cause")],
    ),
    Panel(
        "Checkpoints", "Places of connections that were written, so that resumes walk less. `failed` is harmless for "
        "a while; with Redis up it should not be there.",
        [rate("hubbub_checkpoints_total", "result")],
        unit="cps",
    ),
])

REDIS = Row("Redis", [
    Panel(
        "Connections up", "1 when every connection of a role is open, on each node that uses Redis. A role that is not "
        "used stays at 0, such as `other`. Falls to 0: Redis is down or can't be reached; publishes answer 503.",
        [Query(
            "min by (role) (hubbub_redis_up"
            " and on (job, instance) (sum by (job, instance) (hubbub_lease_renewals_total) > 0))"
            " or max by (role) (hubbub_redis_up)",
            "{{role}}",
        )],
        highest=1, alert="HubbubRedisDown",
    ),
    Panel(
        "Reconnects, ten minutes", "Connections that were lost and made anew. A burst is a restart or failover. Steady: "
        "a proxy that cuts idle connections, `timeout` of Redis, or an overflowing subscription.",
        [count("hubbub_redis_reconnects_total", "role")],
    ),
    Panel(
        "Overflows and foreign frames, ten minutes", "`overflows`: messages came faster than the tail took them; each "
        "costs a catch-up. `refused`: somebody else writes on the channels of this cluster: use another "
        "`redis.prefix`, and protect Redis with a password.",
        [
            Query("sum(increase(hubbub_redis_overflows_total[10m]))", "overflows"),
            Query("sum(increase(hubbub_frames_refused_total[10m]))", "refused"),
        ],
        bad=1,
    ),
    Panel(
        "Redis: calls", "What nodes ask, per second. `publish` follows the events, `beat` the number of nodes and realms, "
        "`open` new connections, `claim` resumes.",
        [busy("hubbub_redis_command_seconds_count", "command", "rate")],
        unit="cps",
    ),
    Panel(
        "Redis: time by command", "Mean time of a call. Up on all commands: Redis is slow (a big key, fsync, a noisy "
        "neighbour) or far away; `redis-cli --latency` from the node's host tells which.",
        [Query(
            "sum by (command) (rate(hubbub_redis_command_seconds_sum[rate]))"
            " / (sum by (command) (rate(hubbub_redis_command_seconds_count[rate])) > 0)"
            ' or (label_replace(0 * sum(hubbub_ready), "command", "none called", "", "")'
            " unless on () sum(rate(hubbub_redis_command_seconds_count[rate])) > 0)",
            "{{command}}",
        )],
        unit="s", warn=0.05,
    ),
    Panel(
        "Publish time by node", "p99 of what the log took to answer a publish. One node above the others: its CPU or "
        "its network; all: Redis, or the disk of Redis with `appendfsync always`, or the replica with profile `ha`.",
        [Query(quantile(0.99, "hubbub_publish_seconds", "instance"))],
        unit="s", warn=0.1,
    ),
])

PRESENCE = Row("Presence", [
    Panel(
        "Presence that waits", "Users whose presence is to be written to Redis, in batches: a part of those who are "
        "active. Only rises, or is near all users: Redis is away or too slow, and statuses are stale.",
        [Query("hubbub_presence_waiting_users")],
    ),
    Panel(
        "Presence writes", "Batches, by result. `fenced`: another node of this name, or an earlier start, owned the "
        "record. `anew`: Redis had lost what this node wrote, and got it again. `failed`: Redis did not answer.",
        [rate("hubbub_presence_writes_total", "result")],
        unit="cps",
    ),
    Panel(
        "Users who are there, by node", "All but offline; somebody with devices on two nodes counts on both.",
        [Query('sum by (instance) (hubbub_users{status!="offline"})')],
    ),
])

DASHBOARD = Dashboard(
    "cluster", "hubbub / cluster",
    "Is it one server? Leases, generations, Redis, and how evenly nodes share the work.",
    [NOW, SKEW, LEASES, REDIS, PRESENCE],
)
