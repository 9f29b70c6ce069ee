//! What a client on the chat route says beside subscribing.
//!
//! Invariants: what is not understood is ignored.

use super::PydioClient;

impl PydioClient {
    /// Does what one message of the chat asks.
    pub(super) async fn hear_chat(&mut self, text: &str) {
        tracing::trace!(bytes = text.len(), "a message of the chat was ignored");
        self.client.acted().await;
    }
}
