//! Bus events in a log of tests.

use std::sync::Arc;

use bytes::Bytes;

use super::stage::{Stage, event};
use crate::model::{Audience, Body, Bus, BusStage, BusTopic, Event, Face, Record, Renderings};

impl Stage {
    /// Appends a bus event that comes to one message for each of `audiences`.
    pub(super) fn append_bus(&mut self, audiences: Vec<Audience>) {
        let offset = self.append(Body::Bus(Bus {
            topic: BusTopic::Tree,
            stage: BusStage::Whole,
            data: Bytes::from_static(b"{}"),
            node: None,
            origin: Arc::from("n"),
            place: None,
        }));
        let record = self.records.last().unwrap();
        let face = |audience: Audience| {
            let message =
                Event { data: Bytes::from(offset.to_string()), ..event(audience.topic()) };
            let record = Record {
                position: record.position.clone(),
                previous_tag: record.previous_tag,
                accepted_at_us: 0,
                body: Body::Event(message),
                renderings: Renderings::default(),
                kept: None,
            };
            Face { audience, record: Arc::new(record) }
        };
        record.set_faces(|| audiences.into_iter().map(face).collect());
    }
}
