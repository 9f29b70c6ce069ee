"""Every buffer of one node, and what its process needs."""

from .describe import Dashboard, Panel, Query, Row, Table, count, quantile, rate

FILL = "hubbub_hub_broadcast_buffer_size / hubbub_hub_broadcast_buffer_capacity"

STATE = Row("State", [
    Panel(
        "Ready", "1 while the node should get new connections. 0 without a drain: `GET /ready` on the internal "
        "listener names the reason (`redis`, `hub`, `tail`).",
        [Query("hubbub_ready")],
        bad=0.5, low=True, highest=1, alert="HubbubNodeNotReady",
    ),
    Panel(
        "Drain phase", "0 serving, 1 not ready, 2 draining, 3 stopping. A node may stay in 2 for as long as "
        "`shutdown.drain`; longer, and it hangs.",
        [Query("hubbub_drain_phase")],
        highest=3, alert="HubbubDrainStuck",
    ),
    Table(
        "Versions", "What runs. Two versions side by side are fine during a roll-out, and only then.",
        [Query("max by (instance, node, version) (hubbub_build_info)")],
        columns={"instance": "Instance", "node": "Node", "version": "Version"},
    ),
])

HUBS = Row("Hubs", [
    Panel(
        "Buffer fill", "How full the queue in front of each hub is. Near 0 is normal, also under load. Above one half: "
        "the hub can't keep up; see 'CPU', and add hubs (`hubs.count`) up to the number of CPUs, or nodes.",
        [Query(FILL, "{{instance}} hub {{hub}}")],
        unit="percentunit", warn=0.5, bad=0.9, highest=1, alert="HubbubHubBufferFilling",
    ),
    Panel(
        "Buffer size", "Records that wait in front of each hub, and how many may (`hubs.queue`, dashed). A full "
        "queue holds up the tail, and so everybody on the node.",
        [
            Query("hubbub_hub_broadcast_buffer_size", "{{instance}} hub {{hub}}"),
            Query("max(hubbub_hub_broadcast_buffer_capacity)", "capacity", right="short"),
        ],
    ),
    Panel(
        "Connections by hub", "Users are spread over hubs by a hash of their id. One line far above the others: one "
        "user with very many connections; see `limits.connections_per_user`.",
        [Query("hubbub_hub_connections", "{{instance}} hub {{hub}}")],
    ),
])

OUTBOXES = Row("Outboxes", [
    Panel(
        "Bytes in outboxes", "What sockets did not take yet, over all sockets. Should fall back after each burst. "
        "Rises and stays: clients or the network are slow; each is closed at `limits.outbox_bytes` with 4431.",
        [Query("hubbub_outbox_bytes")],
        unit="bytes", alert="HubbubSlowConsumers",
    ),
    Panel(
        "Events in outboxes", "The same by number of events; each socket is closed at `limits.outbox_events`.",
        [Query("hubbub_outbox_events")],
    ),
    Panel(
        "Deliveries", "Events that the node writes to sockets. Compare nodes: with the same connections and members "
        "it should be about the same everywhere.",
        [rate("hubbub_deliveries_total", "instance")],
        unit="cps",
    ),
])

TAIL = Row("Tail and ring", [
    Panel(
        "Tail lag, events", "Records that the log holds and the hubs do not have yet. Short peaks are bursts. Stays "
        "up: a full hub (see 'Buffer fill') or a slow way from Redis (see 'Catch-ups').",
        [Query("hubbub_tail_lag_events")],
        warn=1000, alert="HubbubTailLag",
    ),
    Panel(
        "Tail lag, seconds", "Age of the oldest record that is on its way to the hubs, or was last. What clients "
        "feel as delay before any network of theirs.",
        [Query("hubbub_tail_lag_seconds")],
        unit="s", warn=0.5, bad=2, alert="HubbubTailLag",
    ),
    Panel(
        "Records from the log", "What came back from the log, in order; on each node the same as is published in the "
        "whole cluster. 0 on one node only: its tail stands still; `/ready` says `tail`.",
        [rate("hubbub_events_tailed_total", "instance")],
        unit="cps",
    ),
    Panel(
        "Catch-ups, ten minutes", "Times that the tail had to read from the log. `reconnect` follows a lost "
        "connection to Redis, `gap` a lost message, `probe` a channel that went silent. Steady: a bad network, or "
        "Redis drops the subscription (`client-output-buffer-limit pubsub`).",
        [count("hubbub_tail_catchups_total", "instance, cause")],
    ),
    Panel(
        "Ring, events", "Recent records in memory: what a resume can replay. Flat at `log.retention_events` when full.",
        [Query("hubbub_ring_events")],
    ),
    Panel(
        "Ring, bytes", "The same in bytes, at most `log.retention_bytes` a realm: reckon with it as memory of the node.",
        [Query("hubbub_ring_bytes")],
        unit="bytes",
    ),
])

PROCESS = Row("Process", [
    Panel(
        "CPU", "CPUs in use. One hub uses at most one; near the number of hubs or the quota of the container, "
        "deliveries get late: add nodes, or CPUs and hubs.",
        [Query("rate(process_cpu_seconds_total[rate])")],
    ),
    Panel(
        "Memory", "Resident (lines) and virtual (dashed). Grows with connections and rings, then stays. A line that "
        "only rises is a leak: report it with the version.",
        [
            Query("process_resident_memory_bytes"),
            Query("process_virtual_memory_bytes", "{{instance}} virtual", "bytes"),
        ],
        unit="bytes",
    ),
    Panel(
        "File descriptors", "Share in use of what sockets may take: hubbub keeps 512 back. At the end it refuses "
        "connections; raise `ulimit -n` (Kubernetes: of the container runtime), or add nodes.",
        [Query("process_open_fds / clamp_min(process_max_fds - 512, 64)")],
        unit="percentunit", warn=0.8, bad=0.95, highest=1, alert="HubbubDescriptorsNearlyUsed",
    ),
    Panel(
        "Threads", "A fixed number per node. One that grows is a bug: report it with the version.",
        [Query("process_threads")],
    ),
    Panel(
        "Uptime", "Since the start of the process. Falls to 0 without a roll-out: it crashed or was killed (exit 137: "
        "out of memory); look at its last log lines.",
        [Query("time() - process_start_time_seconds")],
        unit="s",
    ),
    Panel(
        "Panics, ten minutes", "Session tasks that panicked. Each cost one socket; send the log line to the developers.",
        [count("hubbub_session_panics_total", "instance")],
        bad=1,
    ),
])

HTTP = Row("Listeners and store", [
    Panel(
        "HTTP connections", "TCP connections before they are upgraded. Many that stay: clients that send no complete "
        "head; `limits.head_timeout` ends them.",
        [Query("hubbub_http_connections", "{{instance}} {{listener}}")],
    ),
    Panel(
        "Accept errors, ten minutes", "Times that accepting failed, mostly for want of file descriptors.",
        [count("hubbub_http_accept_errors_total", "instance, listener")],
        bad=1, alert="HubbubDescriptorsNearlyUsed",
    ),
    Panel(
        "Store: waiting and commit time", "Only with `data.dir`: changes that wait for the disk, and how long it "
        "takes for them (dashed). Waiting rises: the disk is full or too slow; publishes of members wait for it.",
        [
            Query("hubbub_store_waiting_entries", "{{instance}} waiting"),
            Query(quantile(0.99, "hubbub_store_commit_seconds", "instance"), "{{instance}} p99", "s"),
        ],
    ),
])

DASHBOARD = Dashboard(
    "node", "hubbub / node",
    "What each node holds: hubs, outboxes, ring, tail, process. Choose one with the variable at the top.",
    [STATE, HUBS, OUTBOXES, TAIL, PROCESS, HTTP],
)
