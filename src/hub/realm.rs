//! One life of a realm on this node, as tail and hubs share it.
//!
//! Invariants: a life that is over stays over; a hub that finds it so serves nobody of
//! it any more.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{claims::Claims, ring::Ring};
use crate::{
    lifecycle::Gate,
    model::{Position, RealmId},
};

/// A realm on this node, from the start of its tail to the tail's end.
#[derive(Debug)]
pub struct Realm {
    /// Its name.
    pub id: RealmId,
    /// Its recent records.
    pub ring: Ring,
    /// The place after which the tail delivers.
    pub began: Position,
    /// Who holds its connections.
    pub claims: Claims,
    /// Open while this node may speak for its connections.
    pub gate: Gate,
    is_over: AtomicBool,
}

impl Realm {
    /// A life that begins.
    #[must_use]
    pub fn new(id: RealmId, ring: Ring, began: Position, gate: Gate) -> Self {
        let claims = Claims::default();
        // Only what happens from now on brings doubt.
        claims.settle(gate.lapses());
        Self { id, ring, began, claims, gate, is_over: AtomicBool::new(false) }
    }

    /// Ends this life. To be called before any hub is told.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    /// True after [`Realm::end`].
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// True when this node may speak for the connections of the realm now.
    #[must_use]
    pub fn is_spoken_for(&self) -> bool {
        self.gate.is_open() && self.claims.are_sure(self.gate.lapses())
    }

    /// False when the log that `position` was read from has another record there than
    /// the one that came through the tail: then the tail is to be trusted no longer.
    pub(super) fn agrees_with(&self, position: &Position) -> bool {
        if position.offset == self.began.offset {
            return position.tag == self.began.tag;
        }
        // What is in the ring no more can't be compared, and is not read either.
        self.ring.tag_at(position.offset).is_none_or(|tag| tag == position.tag)
    }
}
