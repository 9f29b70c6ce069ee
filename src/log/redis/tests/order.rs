//! What somebody else does to the keys of a log.

use super::*;
use crate::log::{Inbound, Loss, Tail};

/// A tail, and what it has heard.
struct Ear {
    log: Arc<RedisLog>,
    tail: Tail,
}

impl Ear {
    async fn on(server: &Server) -> Self {
        let clock = Clock::manual(Duration::from_secs(START_S));
        let log = node(client(server), "n1", limits(&bounds()), clock).await;
        let tail = log.attach(&id("third")).await.unwrap();
        Self { log, tail }
    }

    /// Publishes one event and returns its offset.
    async fn publish(&self) -> u64 {
        let drafts = vec![Draft { body: event("x"), id: None }];
        self.log.append(&id("third"), drafts).await.remove(0).unwrap().position.offset
    }

    /// The offset of the next record that is heard, or why there is none.
    async fn hear(&mut self) -> Result<u64, Loss> {
        loop {
            match self.tail.inbound.recv().await.unwrap() {
                Inbound::Record(record) => return Ok(record.position.offset),
                Inbound::Lost(loss) => return Err(loss),
                Inbound::Taken { .. } | Inbound::Question(_) | Inbound::Recheck => {}
            }
        }
    }
}

async fn end(server: &Server) -> Option<u64> {
    let end = server.command(&["HGET", "hb:{third}:m", "o"]).await;
    as_text(&end).and_then(|end| end.parse().ok())
}

/// Goal: what somebody else writes to the stream, or to its end, costs nobody an event.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn k03_what_somebody_else_wrote_is_removed() {
    let server = Server::start().await;
    let mut ear = Ear::on(&server).await;
    let (stream, head) = ("hb:{third}:l", "hb:{third}:m");
    let vandalisms: [&[&str]; 7] = [
        &["XADD", stream, "99999999-0", "x", "y"],
        &["XADD", stream, "99999999-7", "r", "rubbish", "p", "0", "g", "0"],
        &["HINCRBY", head, "o", "1000"],
        &["HINCRBY", head, "o", "-1"],
        &["HSET", head, "o", "0"],
        &["XADD", stream, "12-1", "x", "y"],
        &["XSETID", stream, "77777-0"],
    ];
    for offset in 1..=6 {
        assert_eq!((ear.publish().await, ear.hear().await), (offset, Ok(offset)));
    }
    for (number, vandalism) in (6..).zip(vandalisms) {
        server.try_command(vandalism).await.unwrap();
        if vandalism.first() == Some(&"HINCRBY") || vandalism.first() == Some(&"HSET") {
            // Before somebody publishes; what comes in between is another test.
            eventually("the end", async || (end(&server).await == Some(number)).then_some(()))
                .await;
        }
        let next = number + 1;
        assert_eq!((ear.publish().await, ear.hear().await), (next, Ok(next)), "{vandalism:?}");
    }
    // The one in the middle is found when the log is read.
    let read = async || ear.log.range(&id("third"), 0, 100).await.ok();
    let records = eventually("the log", read).await;
    let offsets: Vec<u64> = records.iter().map(|record| record.position.offset).collect();
    assert_eq!(offsets, (1..=13).collect::<Vec<u64>>());
    let entries = server.command(&["XLEN", stream]).await;
    assert_eq!(entries, Value::Int(13), "nothing foreign is left");
}

/// Goal: a publish right after the end was set back is tried again, not refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn k03_a_publish_finds_the_end_again() {
    let server = Server::start().await;
    let mut ear = Ear::on(&server).await;
    for offset in 1..=6 {
        assert_eq!((ear.publish().await, ear.hear().await), (offset, Ok(offset)));
        if offset % 3 == 0 {
            server.command(&["HINCRBY", "hb:{third}:m", "o", "-2"]).await;
        }
    }
}

/// Goal: where records are really missing the tail says so, and the log goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn k03_a_hole_is_a_loss() {
    let server = Server::start().await;
    let mut ear = Ear::on(&server).await;
    assert_eq!((ear.publish().await, ear.hear().await), (1, Ok(1)));
    server.command(&["HINCRBY", "hb:{third}:m", "o", "1000"]).await;
    // At once, so that the hole is there before it could be mended.
    let offset = ear.publish().await;
    let heard = ear.hear().await;
    let is_mended = (offset, heard) == (2, Ok(2));
    assert!(is_mended || (offset, heard) == (1_002, Err(Loss::Retention)), "{offset} {heard:?}");
    ear.tail = ear.log.attach(&id("third")).await.unwrap();
    let next = offset + 1;
    assert_eq!((ear.publish().await, ear.hear().await), (next, Ok(next)));
}
