//! A mark of what a publisher said, so that an id never stands for two bodies.
//!
//! Invariants: the same request has the same mark on every node; what the server adds
//! by itself is not marked.

use sha2::{Digest as _, Sha256};

use super::bus::wire;
use crate::model::{Body, BusStage, Topic, UserId};

/// A short, collision-resistant mark of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest([u8; 16]);

impl Digest {
    /// The mark as hexadecimal digits.
    pub(super) fn hex(self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.0))
    }

    /// Marks what a publisher said: not the made id of an event, and not the moment of a revocation.
    pub(super) fn of(body: &Body) -> Self {
        let mut hash = Hash(Sha256::new());
        match body {
            Body::Event(event) => {
                hash.text("event").text(&event.name).bytes(&event.data).topic(&event.to);
                hash.users(&event.omit_users);
                hash.text(event.omit_connection.as_ref().map_or("", |id| id.as_str()));
                hash.text(if event.ephemeral { "ephemeral" } else { "durable" });
                hash.text(if event.binary { "binary" } else { "text" });
                hash.text(event.sender.as_deref().unwrap_or_default());
            }
            Body::Members { topic, add, remove } => {
                hash.text("members").topic(topic).users(add).users(remove);
            }
            Body::Seeds { user, topics } => {
                hash.text("seeds").text(user.as_str());
                for topic in topics {
                    hash.topic(topic);
                }
            }
            Body::Watch { connection, add, remove } => {
                hash.text("watch").text(connection.as_str()).topics(add).topics(remove);
            }
            Body::Revocation(revocation) => {
                hash.text("revocation").text(&format!("{:?}", revocation.scope));
            }
            Body::Bus(bus) => {
                // Who accepted it does not matter.
                hash.text("bus").text(bus.topic.label()).bytes(&bus.data);
                hash.text(bus.node.as_deref().unwrap_or_default());
                if let BusStage::Merged { first, through, .. } = bus.stage {
                    hash.bytes(&first.to_be_bytes()).bytes(&through.to_be_bytes());
                }
            }
            Body::Workspace { id, is, .. } => {
                let is = is.as_deref().map(wire::workspace_text).unwrap_or_default();
                hash.text("workspace").text(id.as_str()).text(&is);
            }
            Body::Nodes(nodes) => {
                hash.text("nodes").bytes(&wire::nodes_text(nodes));
            }
            Body::Unknown => {
                hash.text("unknown");
            }
            Body::Disconnect { target, code, reason } => {
                hash.text("disconnect").topic(target).bytes(&code.to_be_bytes()).text(reason);
            }
        }
        hash.finish()
    }
}

/// Feeds fields with their lengths, so that two bodies never run together.
struct Hash(Sha256);

impl Hash {
    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(bytes.len().to_be_bytes());
        self.0.update(bytes);
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    fn topic(&mut self, topic: &Topic) -> &mut Self {
        self.text(topic.kind()).text(topic.id())
    }

    fn topics(&mut self, topics: &[Topic]) -> &mut Self {
        self.bytes(&topics.len().to_be_bytes());
        for topic in topics {
            self.topic(topic);
        }
        self
    }

    fn users(&mut self, users: &[UserId]) -> &mut Self {
        self.bytes(&users.len().to_be_bytes());
        for user in users {
            self.text(user.as_str());
        }
        self
    }

    fn finish(self) -> Digest {
        let full: [u8; 32] = self.0.finalize().into();
        let mut short = [0; 16];
        for (to, from) in short.iter_mut().zip(full) {
            *to = from;
        }
        Digest(short)
    }
}
