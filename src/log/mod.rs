//! The realm log: one total order of events and of who may see them.
