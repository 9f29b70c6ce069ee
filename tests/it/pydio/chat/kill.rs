//! Goal: a kill in mid-post loses, doubles and reorders nothing in a room with a long history.
//! Method: real processes, SIGKILL, a fresh reader, and Redis telling what a page asks of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use rustix::process::Signal;
use tokio::task::JoinSet;

use super::{
    Client, ask, join, next, post_as,
    process::{client, node, room},
};
use crate::{
    pydio::stage::KeyFile,
    support::{process::Process, redis::Redis},
};

/// Those that are posted around the kill.
const LAST: usize = 600;

/// Clients that post all others, at once.
const AUTHORS: usize = 3;

/// Messages of a page.
const PAGE: usize = 40;

/// The name of the next message that was said: meanwhile people fall silent and leave.
/// `None` when the socket has ended.
async fn heard(client: &mut Client) -> Option<String> {
    loop {
        let push = next(client).await?;
        if push.get("@type").is_none() {
            assert_eq!(push["Message"], text(push["Uuid"].as_str().unwrap()));
            return Some(push["Uuid"].as_str().unwrap().to_owned());
        }
    }
}

fn text(name: &str) -> String {
    format!("text of {name}")
}

fn names(author: usize, numbers: Range<usize>) -> impl Iterator<Item = String> {
    numbers.map(move |number| format!("{author}-{number}"))
}

async fn say(client: &mut Client, room: &str, name: &str) {
    post_as(client, room, name, &text(name)).await;
}

/// Posts so many messages, some of which are on their way at any time, and sees each.
async fn fill(mut client: Client, room: String, author: usize, numbers: Range<usize>) {
    const ON_THEIR_WAY: usize = 50;
    let own = format!("{author}-");
    let mut acknowledged = 0;
    for (sent, name) in names(author, numbers.clone()).enumerate() {
        while acknowledged + ON_THEIR_WAY <= sent {
            let said = heard(&mut client).await.expect("it is alive");
            acknowledged += usize::from(said.starts_with(&own));
        }
        say(&mut client, &room, &name).await;
    }
    while acknowledged < numbers.len() {
        let said = heard(&mut client).await.expect("it is alive");
        acknowledged += usize::from(said.starts_with(&own));
    }
}

/// Has several clients post at once until `reader` has heard `total` messages.
async fn fill_up(node: &Process, all: &mut Vec<String>, reader: &mut Client, total: usize) {
    let (begin, missing) = (all.len(), total - all.len());
    let mut at_work = JoinSet::new();
    for author in 0..AUTHORS {
        let mut client = client(node, "alice").await;
        let uuid = join(&mut client, &room()).await;
        let from = |author| begin + missing * author / AUTHORS;
        at_work.spawn(fill(client, uuid, author, from(author)..from(author + 1)));
    }
    while all.len() < total {
        all.push(heard(reader).await.expect("it is alive"));
    }
    while let Some(done) = at_work.join_next().await {
        done.unwrap();
    }
}

/// A command that Redis was asked for.
#[derive(Debug, PartialEq, Eq)]
struct Cost {
    command: String,
    words: usize,
    /// How many entries lie between the first and the last that it names, if it does so.
    span: Option<u64>,
}

impl Cost {
    /// `None` for a command that reads nothing of what was said in a room.
    fn of(command: &[String]) -> Option<Self> {
        let (name, words) = command.split_first()?;
        let is_said =
            |word: &String| [":km:", ":ki:", ":ke:", ":kd:"].iter().any(|kind| word.contains(kind));
        // What asks for the script names the room, but none of its keys.
        words.iter().any(is_said).then_some(())?;
        let number = |at: usize| words.get(at)?.trim_end_matches("-0").parse::<u64>().ok();
        let is_range = ["XRANGE", "ZREVRANGE"].contains(&name.as_str());
        let span = number(1).zip(number(2)).filter(|_| is_range).map(|(from, to)| to - from);
        Some(Self { command: name.clone(), words: words.len(), span })
    }
}

/// The newest page of the room, and what Redis was asked for in its history meanwhile.
async fn newest(reader: &mut Client, redis: &Redis) -> (Vec<String>, Vec<Cost>) {
    let monitor = redis.monitor().await;
    ask(reader, &room(), 0, u64::try_from(PAGE).unwrap()).await;
    let mut page = Vec::new();
    while page.len() < PAGE {
        page.push(heard(reader).await.expect("it is alive"));
    }
    let commands = monitor.stop().await;
    let cost: Vec<Cost> = commands.iter().filter_map(|command| Cost::of(command)).collect();
    assert!(cost.iter().any(|cost| cost.command == "XRANGE"), "{commands:?}");
    (page, cost)
}

/// Each once, and those of one author in their order.
fn is_whole_and_in_order(all: &[String], messages: usize) {
    let distinct: BTreeSet<&String> = all.iter().collect();
    assert_eq!((distinct.len(), all.len()), (messages, messages), "each was heard once");
    let mut latest = BTreeMap::new();
    for name in all {
        let (author, number) = name.split_once('-').unwrap();
        let number: usize = number.parse().unwrap();
        let before = latest.insert(author, number);
        assert!(before.is_none_or(|before| before < number), "{name} comes after {before:?}");
    }
}

/// Messages of the room in the end. 50,000 take minutes, in which nothing else should run:
/// `echo 50000 >target/room-messages` asks for them, as `scripts/test` does.
fn messages() -> usize {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/target/room-messages");
    std::fs::read_to_string(path).map_or(2_000, |text| text.trim().parse().unwrap())
}

#[tokio::test]
async fn a_node_that_is_killed_in_mid_post_loses_and_doubles_nothing() {
    let messages = messages();
    let (redis, key) = (Redis::start().await, KeyFile::new());
    let second = node("second", &redis, &key).await;
    let mut reader = client(&second, "bob").await;
    let uuid = join(&mut reader, &room()).await;
    let mut all = Vec::with_capacity(messages);
    fill_up(&second, &mut all, &mut reader, 100).await;
    let (page, cost_of_few) = newest(&mut reader, &redis).await;
    assert_eq!(page, all[100 - PAGE..]);
    fill_up(&second, &mut all, &mut reader, messages - LAST).await;

    let first = node("first", &redis, &key).await;
    let mut poster = client(&first, "alice").await;
    join(&mut poster, &room()).await;
    for name in names(AUTHORS, 0..LAST) {
        say(&mut poster, &uuid, &name).await;
    }
    // Some are said, some are on their way, some were never read.
    let mut acknowledged = Vec::new();
    while acknowledged.len() < LAST / 6 {
        acknowledged.push(heard(&mut poster).await.expect("it is alive"));
    }
    first.signal(Signal::KILL);
    while let Some(name) = heard(&mut poster).await {
        acknowledged.push(name);
    }
    assert!(acknowledged.len() < LAST, "it was killed in the middle");

    // Whatever became of them: whoever has no answer says them again.
    let mut poster = client(&second, "alice").await;
    join(&mut poster, &room()).await;
    for name in names(AUTHORS, 0..LAST).filter(|name| !acknowledged.contains(name)) {
        say(&mut poster, &uuid, &name).await;
    }
    while all.len() < messages {
        all.push(heard(&mut reader).await.expect("it is alive"));
    }
    is_whole_and_in_order(&all, messages);

    let mut fresh = client(&second, "bob").await;
    join(&mut fresh, &room()).await;
    let (page, cost_of_many) = newest(&mut fresh, &redis).await;
    assert_eq!(page, all[messages - PAGE..]);
    assert_eq!(cost_of_many, cost_of_few, "a page of a long history asks Redis for no more");
    let mut fresh = client(&second, "bob").await;
    join(&mut fresh, &room()).await;
    ask(&mut fresh, &room(), 0, 0).await;
    let mut history = Vec::with_capacity(messages);
    while history.len() < messages {
        history.push(heard(&mut fresh).await.expect("it is alive"));
    }
    assert!(history == all, "the history is what was heard, in the order of the log");
    fresh.settled().await;
}
