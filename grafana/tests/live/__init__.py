"""A cluster under Prometheus, and everything that can happen to it."""
