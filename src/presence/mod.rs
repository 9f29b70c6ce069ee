//! Who is there, and what their status is.
