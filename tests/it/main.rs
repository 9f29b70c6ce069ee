//! The promises of the server, one file each, in one binary.

mod http;
mod tidy;
