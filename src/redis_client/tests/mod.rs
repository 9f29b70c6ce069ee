//! Goal: requests reach the server in charge, and an error tells the truth about
//! what happened.
//!
//! Method: real servers, and a stub that answers what a script tells it to.

use std::sync::LazyLock;

use tokio::time::timeout;

use super::{Inbox, Pushed, Script, testing::PATIENCE};

mod cluster;
mod encrypted;
mod replies;
mod rights;
mod sentinel;
mod standalone;
mod stub;

/// Adds `ARGV[1]` to the first key; running it twice is not as good as once.
static INCREMENT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "other",
        &["local key = KEYS[1]", "return redis.call('INCRBY', key, ARGV[1])"],
        false,
    )
});

/// What the subscription says next.
async fn next(inbox: &mut Inbox) -> Pushed {
    timeout(PATIENCE, inbox.recv()).await.expect("something is said in time").expect("it runs")
}

/// The text of a message.
fn text_of(pushed: Pushed) -> String {
    match pushed {
        Pushed::Message(message) => String::from_utf8(message.to_vec()).unwrap(),
        other @ (Pushed::Subscribed | Pushed::Gap(_)) => panic!("{other:?} is no message"),
    }
}
