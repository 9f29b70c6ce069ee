//! How much one peer may ask for.
