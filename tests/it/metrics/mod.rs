//! What a node counts, against loads of which everything is known.
//!
//! Goal: every metric that one node can have shows exactly what was done, and what
//! goes up and down comes back to where it began.
//!
//! Method: a whole node on free ports; clients that write and read raw frames; the
//! page is read over HTTP as Prometheus does, until it says what it must, or too
//! late.

mod live;
mod load;
mod names;
mod outboxes;
mod page;
mod refusals;
mod resumes;
mod stopping;
