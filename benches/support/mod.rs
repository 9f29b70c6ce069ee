//! What the benches share: events as records, an encoding, and how a figure is printed.

use std::sync::Arc;

use bytes::Bytes;
use hubbub::clock::Clock;
use hubbub::model::{
    Body, Encoding, Event, Generation, Id, Position, Record, Rendering, RenderingSlot, Renderings,
    Tag, Tail, Topic,
};

/// Bytes of an event's data.
pub(crate) const DATA_BYTES: usize = 150;

/// An encoding with a numbered tail, as the mattermost dialect has.
pub(crate) static NUMBERED: Encoding = Encoding {
    slot: RenderingSlot::Mattermost,
    name: "mattermost",
    render,
    tail: Tail::Seq,
    noop: br#"{"event":"hb_noop""#,
    withheld: |_, _| false,
    numbered: None,
};

fn render(record: &Record) -> Rendering {
    let Body::Event(event) = &record.body else {
        return Rendering { payload: Bytes::new(), binary: false };
    };
    let mut payload = Vec::with_capacity(DATA_BYTES + 64);
    payload.extend_from_slice(br#"{"event":""#);
    payload.extend_from_slice(event.name.as_bytes());
    payload.extend_from_slice(br#"","data":"#);
    payload.extend_from_slice(&event.data);
    Rendering { payload: payload.into(), binary: false }
}

/// The channel that everybody is in.
pub(crate) fn channel() -> Topic {
    Topic::Channel(Id::parse("bench").unwrap())
}

/// The event at `offset`, addressed to the channel.
pub(crate) fn event(offset: u64) -> Arc<Record> {
    let filler = "x".repeat(DATA_BYTES - r#"{"pad":""}"#.len());
    let event = Event {
        name: Arc::from("posted"),
        data: format!(r#"{{"pad":"{filler}"}}"#).into(),
        to: channel(),
        omit_users: Vec::new(),
        omit_connection: None,
        ephemeral: false,
        binary: false,
        id: Arc::from("bench"),
        sender: None,
    };
    Arc::new(Record {
        position: Position { generation: Generation::new("1.bench"), offset, tag: Tag(offset) },
        previous_tag: Tag(offset - 1),
        accepted_at_us: Clock::system().now_us(),
        body: Body::Event(event),
        renderings: Renderings::default(),
        kept: None,
    })
}

/// The middle of `values`.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
