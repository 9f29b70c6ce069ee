//! Lives of realms, claims and leases, as one node meets them.
