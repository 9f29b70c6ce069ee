//! The WebSocket layer: handshake, frames, whole messages, caps, close codes.
