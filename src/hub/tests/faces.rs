//! Bus events in a log of tests.

use std::sync::Arc;

use bytes::Bytes;

use super::stage::{Session, Stage, event, id};
use crate::model::{
    Audience, Body, Bus, BusStage, BusTopic, Event, Face, Record, Renderings, Scope, Topic,
};

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
            task: None,
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

impl Session {
    /// How many messages of a bus event are for this session, by the definition.
    pub(super) fn faces(&self, record: &Record, is_member: impl Fn(&Topic) -> bool) -> usize {
        let Scope::Bus(subject) = &self.scope else { return 0 };
        let is_boss = subject.roles.contains(&id("boss"));
        let is_for = |face: &&Face| match &face.audience {
            Audience::User(to) => *to == id(self.user),
            Audience::Role(_) => is_boss,
            Audience::Admins => subject.profile.is_some(),
            Audience::Members { workspace, sight } => {
                let is_shown = sight.is_none() || !is_boss;
                is_member(&Topic::Workspace(workspace.clone())) && is_shown
            }
        };
        record.faces().iter().filter(is_for).count()
    }
}
