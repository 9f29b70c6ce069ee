//! The composition root: builds each part, owns each task, drains.
