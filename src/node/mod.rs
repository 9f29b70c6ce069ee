//! The verbs: publish, join, leave, status, resume; and the tail that carries the log to the hubs.
