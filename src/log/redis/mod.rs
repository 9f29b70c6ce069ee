//! The realm log in Redis.
