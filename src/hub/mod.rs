//! Who on this node listens to what: topic index, queue, outboxes.
