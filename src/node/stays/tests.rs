//! Goal: a record wakes exactly those whose rooms it may concern.

use super::*;
use crate::model::{
    Bus, BusStage, BusTopic, Generation, NodePaths, Position, Renderings, Root, Tag,
};

fn id(text: &str) -> Id {
    Id::parse(text).unwrap()
}

fn text(text: &str) -> Arc<str> {
    Arc::from(text)
}

fn record(body: Body) -> Record {
    let position = Position { generation: Generation::new("1.a"), offset: 1, tag: Tag(1) };
    Record {
        position,
        previous_tag: Tag(0),
        accepted_at_us: 0,
        body,
        renderings: Renderings::default(),
        kept: None,
    }
}

fn place(uuid: &str, from: Option<&str>) -> Body {
    let place = NodePlace { uuid: text(uuid), path: Some(text("x")), from: from.map(text) };
    Body::Bus(Bus {
        topic: BusTopic::Tree,
        stage: BusStage::Whole,
        data: bytes::Bytes::from_static(b"{}"),
        node: None,
        origin: text("n"),
        place: Some(place),
        task: None,
    })
}

/// Two guests: one in the rooms of nodes at `a/b` and `a/b-2`, one in that of a
/// workspace and of a node that nobody found.
fn check(body: Body, expected: [&[&str]; 2]) {
    let stays = Arc::new(Stays::default());
    let guests = ["ann", "bob"].map(|user| stays.begin(&id(user)));
    let workspace = RoomKey { kind: RoomKind::Workspace, object: Some(id("w")) };
    for (node, path) in [("in", "a/b"), ("near", "a/b-2")] {
        guests[0].enter(&about(&id(node)));
        stays.found(&id(node), Some(&text(path)), stays.moves(&id(node)));
    }
    guests[1].enter(&workspace);
    guests[1].enter(&about(&id("lost")));
    stays.note(&record(body));
    for (guest, expected) in guests.iter().zip(expected) {
        let table = stays.table.lock();
        let stirred = table.guests[&guest.number].stirred.iter();
        let mut stirred: Vec<&str> = stirred.map(RoomKey::object).collect();
        stirred.sort_unstable();
        assert_eq!(stirred, expected);
    }
    drop(guests);
    let table = stays.table.lock();
    assert!(table.guests.is_empty() && table.rooms.is_empty(), "nothing is left");
    assert!(table.users.is_empty(), "nothing is left");
    assert!(table.paths.is_empty() && table.lost.is_empty(), "nothing is left");
}

#[test]
fn a_record_wakes_whom_it_may_concern() {
    let root = Root { uuid: "r".to_owned(), path: "a/b".to_owned() };
    let workspace = Arc::new(Workspace { roots: vec![root], ..Workspace::default() });
    let (is, was) = (Some(Arc::clone(&workspace)), Some(workspace));
    check(Body::Workspace { id: id("w"), is, was: None }, [&["in"], &["lost", "w"]]);
    check(Body::Workspace { id: id("other"), is: None, was }, [&["in"], &["lost"]]);
    let leaves =
        |topic, user: &str| Body::Members { topic, add: Vec::new(), remove: vec![id(user)] };
    check(leaves(Topic::Workspace(id("w")), "ann"), [&["in", "near"], &[]]);
    check(leaves(Topic::Workspace(id("w")), "bob"), [&[], &["lost", "w"]]);
    check(leaves(Topic::Workspace(id("x")), "bob"), [&[], &["lost"]]);
    check(leaves(Topic::Channel(id("w")), "bob"), [&[], &[]]);
    check(place("near", None), [&["near"], &[]]);
    check(place("folder", Some("a/b")), [&["in"], &["lost"]]);
    check(place("folder", Some("a")), [&["in", "near"], &["lost"]]);
    check(place("not an id!", None), [&[], &[]]);
    let nodes = NodePaths {
        set: vec![(text("in"), text("z"))],
        remove: vec![text("lost")],
        moved: vec![(text("q"), None)],
    };
    check(Body::Nodes(nodes), [&["in"], &["lost"]]);
}

#[test]
fn what_was_found_before_a_move_does_not_count() {
    let stays = Arc::new(Stays::default());
    let stay = stays.begin(&id("ann"));
    stay.enter(&about(&id("n")));
    let moves = stays.moves(&id("n"));
    stays.note(&record(place("n", None)));
    stays.found(&id("n"), Some(&text("old")), moves);
    assert!(stays.table.lock().lost.contains(&id("n")), "any move wakes it");
    stays.found(&id("n"), Some(&text("new")), stays.moves(&id("n")));
    assert!(stays.table.lock().paths["new"].contains(&id("n")));
}

/// Goal: who is removed is found by name, with each of the user's sessions.
#[test]
fn a_removal_wakes_every_session_of_its_users() {
    let stays = Arc::new(Stays::default());
    let key = about(&id("n"));
    let guests = ["ann", "ann", "bob", "eve"].map(|user| stays.begin(&id(user)));
    guests.iter().for_each(|guest| guest.enter(&key));
    let [first, _, _, eve] = guests.each_ref().map(|guest| guest.number);
    let (topic, remove) = (Topic::Workspace(id("w")), vec![id("eve"), id("ann"), id("nobody")]);
    let woken = |stays: &Stays| {
        let table = stays.table.lock();
        let woken = table.guests.iter().filter(|(_, guest)| guest.stirred.contains(&key));
        let mut woken: Vec<u64> = woken.map(|(number, _)| *number).collect();
        woken.sort_unstable();
        woken
    };
    stays.note(&record(Body::Members { topic, add: Vec::new(), remove }));
    assert_eq!(woken(&stays), [first, first + 1, eve]);
    let [_gone, ..] = guests;
    assert_eq!(stays.table.lock().users.len(), 3, "as many users as there are");
}
