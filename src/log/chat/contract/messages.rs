//! What is said in a room: its order, pages, retries, edits, deletions.

use super::*;

/// Goal: many who talk at once are kept in the order in which they are told.
pub(in crate::log) async fn messages_have_the_order_of_the_log<B>()
where
    B: Backend<Log: ChatStore>,
{
    let stage = Arc::new(Stage::open::<B>(limits()).await);
    let room = stage.join(&node("n"), &stage.socket("alice").await).await.uuid;
    let before = stage.top().await;
    let mut talkers = JoinSet::new();
    for talker in 0..5 {
        let (stage, room) = (Arc::clone(&stage), room.clone());
        talkers.spawn(async move {
            let seat = stage.socket(&format!("u{talker}")).await;
            for number in 0..15 {
                let name = format!("m{talker}-{number}");
                stage.say(&room, &name, &name, &seat).await;
            }
        });
    }
    talkers.join_all().await;
    let records = stage.log.range(&stage.realm, before, 1_000).await.unwrap();
    let mut told = Vec::new();
    for record in &records {
        let Body::Event(event) = &record.body else { continue };
        assert_eq!((&*event.name, &event.to), (CHAT_MESSAGE, &Topic::Chat(room.clone())));
        let data: serde_json::Value = serde_json::from_slice(&event.data).unwrap();
        assert_eq!(data["uuid"], event.id.as_ref(), "a record is found by its message");
        told.push(data["text"].as_str().unwrap().to_owned());
    }
    assert_eq!(told.len(), 75);
    assert_eq!(stage.texts(&room, all()).await, told);
}

/// A room where `count` things were said, by alice.
async fn busy_room<L>(stage: &Stage<L>, count: usize) -> (Id, ChatSeat)
where
    L: RealmLog + ChatStore + 'static,
{
    let alice = stage.socket("alice").await;
    let room = stage.join(&node("n"), &alice).await.uuid;
    for number in 1..=count {
        stage.say(&room, &format!("m{number}"), &format!("t{number}"), &alice).await;
    }
    (room, alice)
}

/// Goal: offset and limit mean what clients think they mean.
pub(in crate::log) async fn pages_count_back_from_the_newest<B>()
where
    B: Backend<Log: ChatStore>,
{
    let stage = Stage::open::<B>(limits()).await;
    let (room, _) = busy_room(&stage, 5).await;
    let page = |skip, limit| stage.texts(&room, PageQuery { before: None, skip, limit });
    assert_eq!(page(0, 2).await, ["t4", "t5"]);
    assert_eq!(page(2, 2).await, ["t2", "t3"]);
    assert_eq!(page(4, 2).await, ["t1"]);
    assert_eq!(page(5, 2).await, [""; 0]);
    assert_eq!(page(1_000_000, 2).await, [""; 0]);
    for beyond in [100_000_000_000_000_000, usize::MAX] {
        assert_eq!(page(beyond, 2).await, [""; 0], "{beyond}");
        assert_eq!(page(beyond, usize::MAX).await, [""; 0], "{beyond}");
    }
    assert_eq!(page(3, usize::MAX).await, ["t1", "t2"]);
    assert_eq!(page(0, 0).await, [""; 0]);
    assert_eq!(page(0, 1_000_000).await, ["t1", "t2", "t3", "t4", "t5"]);
    let after = async |number, limit| {
        texts(&stage.log.chat_after(&stage.realm, &room, number, limit).await.unwrap())
    };
    assert_eq!(after(0, 2).await, ["t1", "t2"]);
    assert_eq!(after(2, 100).await, ["t3", "t4", "t5"]);
    assert_eq!(after(5, 100).await, [""; 0]);
}

/// Goal: whoever reads on from the oldest message that is known neither misses nor repeats
/// one, whatever happens meanwhile.
pub(in crate::log) async fn pages_stay_where_they_are_while_messages_come_and_go<B>()
where
    B: Backend<Log: ChatStore>,
{
    let stage = Stage::open::<B>(limits()).await;
    let (room, alice) = busy_room(&stage, 20).await;
    let query = PageQuery { before: None, skip: 0, limit: 5 };
    let first = stage.log.chat_page(&stage.realm, &room, query).await.unwrap();
    assert_eq!(texts(&first), ["t16", "t17", "t18", "t19", "t20"]);
    stage.say(&room, "new", "new", &alice).await;
    stage.try_do(delete(&room, "m18", &alice)).await.unwrap();
    stage.try_do(delete(&room, "m14", &alice)).await.unwrap();
    let before = Some(first.messages[0].0);
    let query = PageQuery { before, skip: 0, limit: 5 };
    assert_eq!(stage.texts(&room, query).await, ["t10", "t11", "t12", "t13", "t15"]);
    let query = PageQuery { before, skip: 3, limit: 2 };
    assert_eq!(stage.texts(&room, query).await, ["t10", "t11"]);
    let anchored = PageQuery { before: Some(first.messages[4].0 + 1), skip: 1, limit: 2 };
    assert_eq!(stage.texts(&room, anchored).await, ["t17", "t19"]);
}

/// Goal: a room keeps the newest messages, and forgets the names of the others.
pub(in crate::log) async fn the_newest_messages_are_kept<B>()
where
    B: Backend<Log: ChatStore>,
{
    let chat = ChatLimits { history: 3, ..limits().chat };
    let stage = Stage::open::<B>(MemoryLimits { chat, ..limits() }).await;
    let (room, alice) = busy_room(&stage, 7).await;
    assert_eq!(stage.texts(&room, all()).await, ["t5", "t6", "t7"]);
    assert_eq!(stage.refused(delete(&room, "m4", &alice)).await, ChatRefusal::NoMessage);
    stage.try_do(delete(&room, "m6", &alice)).await.unwrap();
    stage.say(&room, "m8", "t8", &alice).await;
    assert_eq!(stage.texts(&room, all()).await, ["t5", "t7", "t8"]);
}

/// Goal: whoever does not know whether it was said says it again, and it is said once.
pub(in crate::log) async fn a_retry_is_known_and_changes_nothing<B>()
where
    B: Backend<Log: ChatStore>,
{
    let stage = Stage::open::<B>(limits()).await;
    let (room, alice) = busy_room(&stage, 2).await;
    let before = stage.top().await;
    let again = stage.say(&room, "m1", "t1", &alice).await;
    let ChatOutcome::Known(ChatMessage { uuid, author, .. }) = &again else { panic!("{again:?}") };
    assert_eq!((uuid, author), (&id("m1"), &id("alice")));
    // Another socket of the same user: the first one's node is gone.
    let other = stage.socket("alice").await;
    assert_eq!(stage.say(&room, "m1", "t1", &other).await, again);
    assert_eq!(stage.told(before).await, []);
    assert_eq!(stage.texts(&room, all()).await, ["t1", "t2"]);
}

/// Goal: retries that race say it once.
pub(in crate::log) async fn concurrent_retries_say_it_once<B>()
where
    B: Backend<Log: ChatStore>,
{
    let stage = Arc::new(Stage::open::<B>(limits()).await);
    let (room, alice) = busy_room(&stage, 0).await;
    let before = stage.top().await;
    let mut retries = JoinSet::new();
    for _ in 0..16 {
        let (stage, room, alice) = (Arc::clone(&stage), room.clone(), alice.clone());
        retries.spawn(async move { stage.say(&room, "m", "hi", &alice).await });
    }
    let outcomes = retries.join_all().await;
    let said = outcomes.iter().filter(|one| matches!(one, ChatOutcome::Said(_))).count();
    assert_eq!(said, 1);
    assert_eq!(stage.told(before).await, [(CHAT_MESSAGE.to_owned(), Topic::Chat(room.clone()))]);
    assert_eq!(stage.texts(&room, all()).await, ["hi"]);
}

/// Goal: an edited message keeps its place, its author and its moment.
pub(in crate::log) async fn an_edit_takes_the_place_of_what_was_said<B>()
where
    B: Backend<Log: ChatStore>,
{
    let stage = Stage::open::<B>(limits()).await;
    let (room, alice) = busy_room(&stage, 3).await;
    let before = stage.top().await;
    let first = stage.log.chat_page(&stage.realm, &room, all()).await.unwrap();
    let first = first.messages[1].1.clone();
    let edited = stage.say(&room, "m2", "better", &alice).await;
    let expected = ChatMessage { text: Arc::from("better"), ..first };
    assert_eq!(edited, ChatOutcome::Said(expected));
    assert_eq!(stage.texts(&room, all()).await, ["t1", "better", "t3"]);
    assert_eq!(stage.told(before).await.len(), 1);
    let ChatOutcome::Known(_) = stage.say(&room, "m2", "better", &alice).await else { panic!() };
    stage.say(&room, "m2", "t2", &alice).await;
    assert_eq!(stage.texts(&room, all()).await, ["t1", "t2", "t3"], "and back");
    stage.say(&room, "m2", "again", &alice).await;
    stage.try_do(delete(&room, "m2", &alice)).await.unwrap();
    stage.say(&room, "m4", "t4", &alice).await;
    assert_eq!(stage.texts(&room, all()).await, ["t1", "t3", "t4"]);
}

/// Goal: what was taken back is gone for good, also for a retry that comes late.
pub(in crate::log) async fn a_deleted_message_is_gone_and_does_not_come_back<B>()
where
    B: Backend<Log: ChatStore>,
{
    let stage = Stage::open::<B>(limits()).await;
    let (room, alice) = busy_room(&stage, 3).await;
    let before = stage.top().await;
    stage.try_do(delete(&room, "m2", &alice)).await.unwrap();
    assert_eq!(stage.told(before).await, [(CHAT_DELETED.to_owned(), Topic::Chat(room.clone()))]);
    assert_eq!(stage.texts(&room, all()).await, ["t1", "t3"]);
    assert_eq!(stage.refused(post(&room, "m2", "t2", &alice)).await, ChatRefusal::Deleted);
    stage.try_do(delete(&room, "m2", &alice)).await.unwrap();
    assert_eq!(stage.told(before).await.len(), 1, "a repeated deletion tells nobody");
    assert_eq!(stage.texts(&room, all()).await, ["t1", "t3"]);
}

/// Goal: the stored author decides.
pub(in crate::log) async fn only_its_author_changes_a_message<B>()
where
    B: Backend<Log: ChatStore>,
{
    let stage = Stage::open::<B>(limits()).await;
    let (room, _) = busy_room(&stage, 1).await;
    let mallory = stage.socket("mallory").await;
    let before = stage.top().await;
    assert_eq!(stage.refused(delete(&room, "m1", &mallory)).await, ChatRefusal::NotAuthor);
    assert_eq!(stage.refused(post(&room, "m1", "x", &mallory)).await, ChatRefusal::NotAuthor);
    assert_eq!(stage.refused(post(&room, "m1", "t1", &mallory)).await, ChatRefusal::NotAuthor);
    assert_eq!(stage.refused(delete(&room, "m9", &mallory)).await, ChatRefusal::NoMessage);
    assert_eq!(stage.top().await, before, "nothing was appended");
    assert_eq!(stage.texts(&room, all()).await, ["t1"]);
}

/// Goal: no text breaks out of the data of its event.
pub(in crate::log) async fn any_text_survives<B>()
where
    B: Backend<Log: ChatStore>,
{
    let stage = Stage::open::<B>(limits()).await;
    let (room, alice) = busy_room(&stage, 0).await;
    let long = "x".repeat(16 * 1024);
    let all_texts = [
        "\"},{\"a\":1",
        "\\\" \n\r\t\u{0}\u{1f}",
        "\u{1f600} ä \u{202e}",
        "%d %s",
        "</script>",
        &long,
    ];
    let before = stage.top().await;
    for (number, text) in all_texts.iter().enumerate() {
        stage.say(&room, &format!("m{number}"), text, &alice).await;
    }
    assert_eq!(stage.texts(&room, all()).await, all_texts);
    let records = stage.log.range(&stage.realm, before, 100).await.unwrap();
    let told = records.iter().map(|record| {
        let Body::Event(event) = &record.body else { panic!("{record:?}") };
        let data: serde_json::Value = serde_json::from_slice(&event.data).unwrap();
        data["text"].as_str().unwrap().to_owned()
    });
    assert_eq!(told.collect::<Vec<_>>(), all_texts);
}

/// Goal: tenants share nothing.
pub(in crate::log) async fn rooms_of_another_realm_are_other_rooms<B>()
where
    B: Backend<Log: ChatStore>,
{
    let stage = Stage::open::<B>(limits()).await;
    let (room, alice) = busy_room(&stage, 1).await;
    let other = id("other");
    assert_eq!(stage.log.chat_room(&other, &node("n")).await.unwrap(), None);
    let page = stage.log.chat_page(&other, &room, all()).await.unwrap();
    assert_eq!(page, Page::default());
    let refused = stage.log.chat(&other, post(&room, "m", "hi", &alice)).await;
    assert_eq!(refused, Err(ChatError::Refused(ChatRefusal::NoRoom)));
}

/// Goal: a room with more messages than any page or call holds keeps them all, and shows
/// whichever part is asked for.
///
/// What a page of it costs is seen by the commands that Redis gets, in `tests/it`.
pub(in crate::log) async fn a_long_history_is_kept_and_read_in_parts<B>()
where
    B: Backend<Log: ChatStore>,
{
    const MESSAGES: usize = 6_000;
    const TALKERS: usize = 60;
    let chat = ChatLimits { history: MESSAGES, ..limits().chat };
    let stage = Arc::new(Stage::open::<B>(MemoryLimits { chat, ..limits() }).await);
    let (room, alice) = busy_room(&stage, 0).await;
    let mut talkers = JoinSet::new();
    for talker in 0..TALKERS {
        let (stage, room, alice) = (Arc::clone(&stage), room.clone(), alice.clone());
        talkers.spawn(async move {
            for number in 0..MESSAGES / TALKERS {
                let name = format!("m{talker}-{number}");
                stage.say(&room, &name, &name, &alice).await;
            }
        });
    }
    talkers.join_all().await;
    stage.say(&room, "one-more", "newest", &alice).await;
    let (mut number, mut told) = (0, Vec::new());
    loop {
        let page = stage.log.chat_after(&stage.realm, &room, number, 5_000).await.unwrap();
        let Some((last, _)) = page.messages.last() else { break };
        number = *last;
        told.extend(texts(&page));
    }
    assert_eq!(told.len(), MESSAGES, "the oldest has gone for the newest");
    assert_eq!(told.last().map(String::as_str), Some("newest"));
    for (skip, limit) in [(0, 40), (MESSAGES - 100, 40), (MESSAGES - 40, 100), (10, 3_000)] {
        let end = MESSAGES - skip;
        let page = stage.texts(&room, PageQuery { before: None, skip, limit }).await;
        assert_eq!(page, told[end.saturating_sub(limit)..end], "{skip} {limit}");
    }
}
