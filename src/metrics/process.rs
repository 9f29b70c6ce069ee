//! What the kernel knows about this process: the `process_*` metrics.
//!
//! Invariants: read at each scrape; CPU time has its fractions, which the library
//! cuts off.

use prometheus::{
    core::{Collector, Desc},
    process_collector::ProcessCollector,
    proto::{Counter, Metric, MetricFamily},
};

const CPU_SECONDS: &str = "process_cpu_seconds_total";

/// Collects the metrics of this process.
#[derive(Debug)]
pub(super) struct Process(ProcessCollector);

impl Process {
    pub(super) fn new() -> Self {
        Self(ProcessCollector::for_self())
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.0.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = self.0.collect();
        let cpu = families.iter_mut().find(|family| family.name() == CPU_SECONDS);
        if let (Some(family), Some(seconds)) = (cpu, cpu_seconds()) {
            let mut counter = Counter::default();
            counter.set_value(seconds);
            let mut metric = Metric::default();
            metric.set_counter(counter);
            family.set_metric(vec![metric]);
        }
        families
    }
}

/// User and system time of this process.
fn cpu_seconds() -> Option<f64> {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Some(std::time::Duration::try_from(spent).ok()?.as_secs_f64())
}
