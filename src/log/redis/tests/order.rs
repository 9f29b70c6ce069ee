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
        publish(&self.log).await
    }

    /// Publishes one event, at which this tail is lost; another one believes it.
    async fn publish_anew(&mut self) -> (u64, Loss) {
        let log = Arc::clone(&self.log);
        let renewed = async {
            let loss = self.hear().await.unwrap_err();
            self.tail = self.log.attach(&id("third")).await.unwrap();
            loss
        };
        tokio::join!(publish(&log), renewed)
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

async fn publish(log: &RedisLog) -> u64 {
    let drafts = vec![Draft { body: event("x"), id: None }];
    log.append(&id("third"), drafts).await.remove(0).unwrap().position.offset
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
    let forged = "053b1437ccfcb274 e 2 41 11\ne:{}{}";
    let vandalisms: [&[&str]; 8] = [
        &["XADD", stream, "99999999-0", "x", "y"],
        &["XADD", stream, "99999999-7", "r", "rubbish", "p", "0", "g", "0"],
        &["XADD", stream, "88888888-0", "r", forged, "p", "053b1437ccfcb274", "g", "1.a"],
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
    assert_eq!(offsets, (1..=14).collect::<Vec<u64>>());
    let entries = server.command(&["XLEN", stream]).await;
    assert_eq!(entries, Value::Int(14), "nothing foreign is left");
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

/// Goal: a head that makes no sense begins the log anew: nobody is silent, and everybody who
/// was there is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn k03_a_head_without_sense_begins_anew() {
    let server = Server::start().await;
    let mut ear = Ear::on(&server).await;
    let head = "hb:{third}:m";
    for nonsense in [
        ["o", "-5"],
        ["o", "9223372036854775807"],
        ["o", "9007199254740993"],
        ["o", "nan"],
        ["o", "1.5"],
        ["o", "banana"],
        ["t", ""],
        ["t", "rubbish"],
        ["gid", "9.zzzz"],
        ["gid", "99999999999999999999.a"],
        ["gl", ""],
        ["lf", ""],
    ] {
        let offset = ear.publish().await;
        assert_eq!(ear.hear().await, Ok(offset), "{nonsense:?}");
        server.command(&[&["HSET", head][..], &nonsense].concat()).await;
        if matches!(nonsense, ["gl" | "lf", _]) {
            server.command(&["HDEL", head, nonsense[0]]).await;
        }
        assert_eq!(ear.publish_anew().await, (1, Loss::Generation), "{nonsense:?}");
    }
}

/// Goal: a link that is wrong in the log itself is a loss, and not doubted for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn k03_a_wrong_link_is_a_loss() {
    let server = Server::start().await;
    let mut ear = Ear::on(&server).await;
    for offset in [1, 3, 5] {
        assert_eq!((ear.publish().await, ear.hear().await), (offset, Ok(offset)));
        server.command(&["HSET", "hb:{third}:m", "t", "deadbeefdeadbeef"]).await;
        assert_eq!(ear.publish_anew().await, (offset + 1, Loss::Retention));
    }
}

/// Goal: a generation from the future is followed by a newer one, so that nobody waits until
/// its successor is believed.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn k03_a_generation_from_the_future_has_a_successor() {
    let server = Server::start().await;
    let mut ear = Ear::on(&server).await;
    let future = "99999999999999.0011223344556677";
    server.command(&["HSET", "hb:{third}:m", "gid", future, "gl", future]).await;
    server.command(&["HDEL", "hb:{third}:m", "lf"]).await;
    assert_eq!(ear.publish_anew().await, (1, Loss::Generation));
    let now = server.command(&["HGET", "hb:{third}:m", "gid"]).await;
    assert!(as_text(&now).unwrap().starts_with("100000000000000."), "{now:?}");
}
