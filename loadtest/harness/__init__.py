"""What loadtest/run and loadtest/verify share: nodes, Redis, Prometheus, engines, reports."""
