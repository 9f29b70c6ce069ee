//! The doors: listeners, TLS, routes, upgrade, server API, pages.

pub mod demo;
