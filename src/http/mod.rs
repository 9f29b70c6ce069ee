//! The doors: listeners, TLS, routes, upgrade, server API, pages.
