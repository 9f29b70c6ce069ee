//! Every metric of this server, made once.
