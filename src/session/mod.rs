//! One connected client: reader, heartbeat, authentication, resume.
