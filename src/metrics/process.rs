//! What the kernel knows about this process: the `process_*` metrics.
//!
//! Invariants: read at each scrape; where the kernel does not tell, the metric is
//! left out instead of being 0.

use std::fs;

use super::text::{Number, Page};

/// One metric about the process: name, type, help, and where its value is found.
struct Row {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    read: fn() -> Option<Number>,
}

const ROWS: [Row; 7] = [
    Row {
        name: "process_cpu_seconds_total",
        kind: "counter",
        help: "User and system CPU time spent, in seconds.",
        read: cpu_seconds,
    },
    Row {
        name: "process_resident_memory_bytes",
        kind: "gauge",
        help: "Resident memory.",
        read: || status_bytes("VmRSS:"),
    },
    Row {
        name: "process_virtual_memory_bytes",
        kind: "gauge",
        help: "Virtual memory.",
        read: || status_bytes("VmSize:"),
    },
    Row {
        name: "process_open_fds",
        kind: "gauge",
        help: "Open file descriptors.",
        read: open_descriptors,
    },
    Row {
        name: "process_max_fds",
        kind: "gauge",
        help: "Most file descriptors that may be open.",
        read: most_descriptors,
    },
    Row { name: "process_threads", kind: "gauge", help: "Threads.", read: threads },
    Row {
        name: "process_start_time_seconds",
        kind: "gauge",
        help: "When the process started, in seconds since 1970.",
        read: start_seconds,
    },
];

/// Names, types and helps, for the documents.
pub(super) fn rows() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    ROWS.iter().map(|row| (row.name, row.kind, row.help))
}

/// Writes what the kernel tells now.
pub(super) fn write(page: &mut Page) {
    for row in &ROWS {
        if let Some(value) = (row.read)() {
            page.begin(row.name, row.kind, row.help);
            page.sample(row.name, &[], value);
        }
    }
}

fn cpu_seconds() -> Option<Number> {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let spent = std::time::Duration::try_from(spent).ok()?;
    Some(Number::Float(spent.as_secs_f64()))
}

fn status_field(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn status_bytes(name: &str) -> Option<Number> {
    status_field(name).map(|kibibytes| Number::Whole(kibibytes * 1024))
}

fn threads() -> Option<Number> {
    status_field("Threads:").map(Number::Whole)
}

fn open_descriptors() -> Option<Number> {
    // The listing itself holds one descriptor open.
    let open = fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1);
    u64::try_from(open).ok().map(Number::Whole)
}

fn most_descriptors() -> Option<Number> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.map(Number::Whole)
}

fn start_seconds() -> Option<Number> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold blanks; 20 fields follow it up to the start.
    let ticks: u64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let machine = fs::read_to_string("/proc/stat").ok()?;
    let boot = machine.lines().find_map(|line| line.strip_prefix("btime "))?;
    let since_boot = ticks.checked_div(rustix::param::clock_ticks_per_second())?;
    Some(Number::Whole(boot.trim().parse::<u64>().ok()? + since_boot))
}
