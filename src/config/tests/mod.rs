//! Goal: every rule of the configuration holds and every error names its key.
