//! Goal: each rule of the bus by itself.
//!
//! Method: tables of cases; merging and the book against their definitions.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Book, RuleDraft, Waiting, accept, clean_path, merge::merge, workspace};
use crate::model::{
    Audience, Body, Bus, BusStage, BusTopic, Generation, Id, Policy, Position, Record, Renderings,
    Rights, Sight, Subject, Tag, Workspace, is_within,
};

fn id(text: &str) -> Id {
    Id::parse(text).unwrap()
}

fn subject(roles: &[&str], profile: &str) -> Subject {
    let profile = (!profile.is_empty()).then(|| Arc::from(profile));
    Subject { roles: roles.iter().map(|role| id(role)).collect(), profile }
}

fn defined(roots: &[&str], rules: &[(&str, &str, bool)]) -> Workspace {
    let roots = roots.iter().map(|path| ("r".to_owned(), (*path).to_owned())).collect();
    let rule = |(who, path, read): &(&str, &str, bool)| {
        let (kind, name) = who.split_once(':').unwrap();
        RuleDraft {
            user: (kind == "user").then(|| id(name)),
            role: (kind == "role").then(|| id(name)),
            path: (*path).to_owned(),
            read: *read,
            write: true,
        }
    };
    workspace(String::new(), roots, rules.iter().map(rule).collect()).unwrap()
}

fn record(offset: u64, at_ms: u64, body: Body) -> Record {
    Record {
        position: Position { generation: Generation::new("1.a"), offset, tag: Tag(offset) },
        previous_tag: Tag(offset.saturating_sub(1)),
        accepted_at_us: at_ms * 1_000,
        body,
        renderings: Renderings::default(),
        kept: None,
    }
}

fn bus(topic: BusTopic, payload: &Value) -> Body {
    let accepted = accept(topic, &payload.to_string()).unwrap();
    // As if it had been merged already.
    let is_part = accepted.stage == BusStage::Part;
    let stage = if is_part { BusStage::Whole } else { accepted.stage };
    Body::Bus(Bus {
        topic,
        stage,
        data: accepted.data,
        node: None,
        origin: Arc::from("me"),
        place: None,
        task: None,
    })
}

#[test]
fn a_folder_is_no_prefix_of_its_neighbour() {
    for (path, folder, expected) in [
        ("a/foo", "a/foo", true),
        ("a/foo/x", "a/foo", true),
        ("a/foobar", "a/foo", false),
        ("a", "a/foo", false),
        ("x", "", true),
        ("", "", true),
    ] {
        assert_eq!(is_within(path, folder), expected, "{path} in {folder}");
    }
    assert_eq!(clean_path("/a/b/"), Some("a/b".to_owned()));
    assert_eq!(clean_path("a/..b/c"), Some("a/..b/c".to_owned()));
    for path in ["..", "a/..", "../a", "a/../b"] {
        assert_eq!(clean_path(path), None, "{path}");
    }
}

#[test]
fn the_longest_path_wins_then_the_user_then_the_stricter_rule() {
    let rules = [
        ("role:all", "", false),
        ("user:alice", "books", true),
        ("role:all", "books", false),
        ("role:some", "books/new", true),
        ("role:all", "books/new", false),
    ];
    let workspace = defined(&["lib"], &rules);
    for (user, roles, path, read) in [
        ("bob", &["all"][..], "lib/x", false),
        ("bob", &[], "lib/x", true),
        ("alice", &["all"], "lib/books/x", true),
        ("bob", &["all"], "lib/books/x", false),
        ("alice", &["all", "some"], "lib/books/new/x", false),
        ("alice", &["some"], "lib/books/new/x", true),
        ("bob", &["some"], "lib/booksellers", true),
    ] {
        let rights = workspace.rights(path, &id(user), &subject(roles, ""));
        assert_eq!(rights.read, read, "{user} {roles:?} {path}");
    }
    let nothing = defined(&["lib"], &[("user:alice", "", false)]);
    let rights = nothing.rights("lib", &id("alice"), &subject(&[], ""));
    assert_eq!(rights, Rights { read: false, write: false }, "who can't read can't write");
}

#[test]
fn a_path_of_a_rule_is_full_or_relative_or_refused() {
    let paths = |roots: &[&str], path: &str| -> Vec<String> {
        let workspace = defined(roots, &[("user:u", path, false)]);
        workspace.rules.into_iter().map(|rule| rule.path).collect()
    };
    assert_eq!(paths(&["a/b"], "a/b/c"), ["a/b/c"]);
    assert_eq!(paths(&["a/b"], "c"), ["a/b/c"]);
    assert_eq!(paths(&["a/b"], ""), [""]);
    assert_eq!(paths(&["a/b", "x/y"], "y/c"), ["x/y/c"]);
    assert_eq!(paths(&["a/b", "x/b"], "b"), ["a/b", "x/b"]);
    let rule = RuleDraft {
        user: Some(id("u")),
        role: None,
        path: "nowhere/c".to_owned(),
        read: false,
        write: false,
    };
    let roots = ["a/b", "x/y"].map(|path| (String::new(), path.to_owned())).to_vec();
    let refusal = workspace(String::new(), roots, vec![rule]).unwrap_err();
    assert_eq!(refusal.field, "rules[0].path", "a rule that nothing obeys is an error");
}

#[test]
fn policies_deny_by_default_and_a_denial_wins() {
    let policy = |text: &str| {
        let (effect, subject) = text.split_at(1);
        Policy { subject: subject.to_owned(), allows: effect == "+" }
    };
    let admits = |policies: &[&str], subject: &Subject| {
        let sight = Sight {
            workspace: Arc::default(),
            seen: Vec::new(),
            hidden: Vec::new(),
            policies: Some(policies.iter().map(|text| policy(text)).collect()),
        };
        let audience = Audience::Members { workspace: id("w"), sight: Some(Box::new(sight)) };
        audience.admits(&id("alice"), subject)
    };
    let (plain, boss) = (subject(&["r"], ""), subject(&[], "admin"));
    for (policies, subject, expected) in [
        (&[][..], &plain, false),
        (&["+*"], &plain, true),
        (&["+*", "-role:r"], &plain, false),
        (&["+*", "-role:r"], &boss, true),
        (&["+user:alice"], &plain, true),
        (&["+user:bob", "+role:x"], &plain, false),
        (&["+profile:standard"], &plain, true),
        (&["+profile:shared"], &plain, true),
        (&["+profile:admin"], &plain, false),
        (&["+profile:standard"], &boss, true),
        (&["+somebody:alice", "+alice"], &plain, false),
    ] {
        assert_eq!(admits(policies, subject), expected, "{policies:?}");
    }
}

#[test]
fn enums_are_read_by_name_or_number_and_longs_as_text_or_number() {
    let node = json!({"Uuid": "n", "Path": "/a/b/", "Type": 1, "Size": "12", "MTime": 1_530_612_000_u64,
        "Etag": "", "Mode": 0, "MetaStore": {"empty": ""}});
    let accepted = accept(BusTopic::Tree, &json!({"Type": 4, "Target": node}).to_string()).unwrap();
    let normal: Value = serde_json::from_slice(&accepted.data).unwrap();
    let expected = json!({"Type": "UPDATE_META", "Target": {"Uuid": "n", "Path": "a/b", "Type": "LEAF",
        "Size": "12", "MTime": "1530612000", "MetaStore": {"empty": ""}}});
    assert_eq!(normal, expected);
    assert_eq!(accepted.stage, BusStage::Part);
    assert_eq!(accepted.node.as_deref(), Some("n"));
    assert_eq!(accepted.place.unwrap().path.as_deref(), Some("a/b"));
}

#[test]
fn what_batches_and_what_must_come_after_it() {
    let with = |kind: &str, side: &str, uuid: &str| {
        let event = json!({"Type": kind, side: {"Uuid": uuid, "Path": "a"}});
        let accepted = accept(BusTopic::Tree, &event.to_string()).unwrap();
        (accepted.stage, accepted.node)
    };
    let node = Some("n".to_owned());
    for kind in ["CREATE", "UPDATE_CONTENT", "UPDATE_META"] {
        assert_eq!(with(kind, "Target", "n"), (BusStage::Part, node.clone()), "{kind}");
        assert_eq!(with(kind, "Target", ""), (BusStage::Whole, None), "{kind} of nothing named");
        assert_eq!(with(kind, "Source", "n"), (BusStage::Whole, None), "{kind} without target");
    }
    for kind in ["DELETE", "UPDATE_PATH"] {
        assert_eq!(with(kind, "Source", "n"), (BusStage::Whole, node.clone()), "{kind}");
        let nowhere = json!({"Type": kind, "Source": {"Uuid": "n"}}).to_string();
        assert_eq!(accept(BusTopic::Tree, &nowhere).unwrap_err().field, "Source.Path", "{kind}");
    }
    assert_eq!(with("UPDATE_USER_META", "Target", "n"), (BusStage::Whole, None));
    assert_eq!(with("READ", "Target", "n"), (BusStage::Void, None));
}

#[test]
fn merging_takes_the_strongest_type_and_the_last_content() {
    let merged = |parts: &[Value]| {
        let parts = parts.iter().map(|part| part.as_object().unwrap().clone()).collect();
        Value::Object(merge(parts))
    };
    let part = |kind: &str, target: Value| json!({"Type": kind, "Target": target});
    for (kinds, expected) in [
        (&["UPDATE_META", "CREATE", "UPDATE_META"][..], "CREATE"),
        (&["UPDATE_CONTENT", "UPDATE_META"], "UPDATE_CONTENT"),
        (&["UPDATE_META", "UPDATE_META"], "UPDATE_META"),
    ] {
        let parts: Vec<Value> = kinds.iter().map(|kind| part(kind, json!({}))).collect();
        assert_eq!(merged(&parts)["Type"], expected, "{kinds:?}");
    }
    let first = json!({"Uuid": "n", "Etag": "e1", "Size": "1", "MetaStore": {"a": "1", "b": "1"}});
    let second = json!({"Uuid": "x", "Path": "p", "Etag": "temporary", "Size": "2", "MetaStore": {"b": "2"}});
    let third = json!({"Path": "q", "Etag": "e3", "MTime": "3"});
    let parts = [first, second, third].map(|target| part("UPDATE_META", target));
    let expected = json!({"Uuid": "n", "Path": "p", "Etag": "e3", "Size": "2", "MTime": "3",
        "MetaStore": {"a": "1", "b": "2"}});
    assert_eq!(merged(&parts)["Target"], expected);
    let sources = [json!({"Source": {"Path": "1"}}), json!({"Source": {"Path": "2"}})];
    assert_eq!(merged(&sources)["Source"]["Path"], "2", "the last source counts");
}

fn part(offset: u64, at_ms: u64, origin: &str) -> Record {
    let body = Body::Bus(Bus {
        topic: BusTopic::Meta,
        stage: BusStage::Part,
        data: Bytes::from_static(br#"{"Type":"UPDATE_META","Target":{"Uuid":"n"}}"#),
        node: Some(Arc::from("n")),
        origin: Arc::from(origin),
        place: None,
        task: None,
    });
    record(offset, at_ms, body)
}

fn due(waiting: &mut Waiting, me: &str, at_ms: u64) -> Vec<(u64, u64)> {
    let due = waiting.due(me, at_ms * 1_000, 16);
    due.into_iter().map(|merged| (merged.first, merged.through)).collect()
}

#[test]
fn what_waits_is_due_after_a_second_of_silence_and_two_at_most() {
    let mut waiting = Waiting::default();
    for (offset, at_ms) in [(1, 10_000), (2, 10_900), (3, 11_800)] {
        waiting.note(&part(offset, at_ms, "me"));
        assert_eq!(due(&mut waiting, "me", at_ms + 150), []);
    }
    assert_eq!(due(&mut waiting, "me", 11_999), []);
    assert_eq!(due(&mut waiting, "me", 12_000), [(1, 3)], "two seconds after the first");
    assert_eq!(due(&mut waiting, "me", 12_900), [], "not again at once");
    assert_eq!(due(&mut waiting, "me", 13_000), [(1, 3)], "but when nothing came of it");

    let mut waiting = Waiting::default();
    waiting.note(&part(1, 10_000, "other"));
    assert_eq!(due(&mut waiting, "me", 11_299), [], "who took it goes first");
    assert_eq!(due(&mut waiting, "me", 11_300), [(1, 1)]);
}

#[test]
fn a_part_that_came_meanwhile_waits_on() {
    let mut waiting = Waiting::default();
    for offset in [4, 6, 9] {
        waiting.note(&part(offset, 10_000, "me"));
    }
    let body = Body::Bus(Bus {
        topic: BusTopic::Meta,
        stage: BusStage::Merged { first: 4, through: 6, is_last: false },
        data: Bytes::from_static(b"{}"),
        node: Some(Arc::from("n")),
        origin: Arc::from("me"),
        place: None,
        task: None,
    });
    waiting.note(&record(10, 11_000, body));
    let left = waiting.of(&Arc::from("n")).unwrap();
    assert_eq!((left.first, left.through), (9, 9));
    assert!(waiting.of(&Arc::from("m")).is_none());
}

/// Goal: what members see of a change is a pure function of rules and paths: of all
/// faces for a workspace, exactly one is for a member who may see something, and it
/// shows exactly what the member may see.
#[test]
fn each_member_gets_the_one_face_that_shows_what_the_member_may_see() {
    let rules = [("role:left", "a/right", false), ("role:right", "a/left", false)];
    let workspace = Arc::new(defined(&["a"], &rules));
    let book = Book::new([(id("w"), Arc::clone(&workspace))]);
    let sides = ["a/left/x", "a/right/x", "a/x", "out/x"];
    let people = [&[][..], &["left"], &["right"], &["left", "right"]];
    for from in sides {
        for to in sides {
            let payload = json!({"Type": "UPDATE_PATH", "Source": {"Uuid": "n", "Path": from},
                "Target": {"Uuid": "n", "Path": to}});
            let record = record(1, 0, bus(BusTopic::Tree, &payload));
            let mut book_of_all = Book::new([(id("w"), Arc::clone(&workspace))]);
            book_of_all.take(&record);
            for roles in people {
                let subject = subject(roles, "");
                let sees = |path: &str| {
                    book.showing(path).contains(&id("w"))
                        && workspace.rights(path, &id("u"), &subject).read
                };
                let admitted =
                    |face: &&crate::model::Face| face.audience.admits(&id("u"), &subject);
                let faces: Vec<_> = record.faces().iter().filter(admitted).collect();
                let shown: Vec<(bool, bool, Value)> = faces
                    .iter()
                    .map(|face| {
                        let Body::Event(event) = &face.record.body else { panic!("a message") };
                        let value: Value = serde_json::from_slice(&event.data).unwrap();
                        let has = |side: &str| value.get(side).is_some();
                        (
                            has("Source"),
                            has("Target"),
                            value.get("Type").cloned().unwrap_or_default(),
                        )
                    })
                    .collect();
                let expected = match (sees(from), sees(to)) {
                    (true, true) => vec![(true, true, json!("UPDATE_PATH"))],
                    (true, false) => vec![(true, false, json!("DELETE"))],
                    (false, true) => vec![(false, true, Value::Null)],
                    (false, false) => vec![],
                };
                assert_eq!(shown, expected, "{from} to {to} for {roles:?}");
            }
        }
    }
}

fn definition() -> impl Strategy<Value = Option<Arc<Workspace>>> {
    let path = prop::sample::select(vec!["", "a", "a/b", "a/b/c", "b"]);
    let roots = prop::collection::vec(path, 1..3);
    prop::option::of(roots.prop_map(|roots| Arc::new(defined(&roots, &[]))))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Goal: a node that starts later knows each workspace at each place of the log.
    #[test]
    fn rewinding_undoes_taking(changes in prop::collection::vec((0..3_u8, definition()), 0..20)) {
        let mut now: std::collections::BTreeMap<Id, Arc<Workspace>> = std::collections::BTreeMap::new();
        let mut states = vec![now.clone()];
        let mut records = Vec::new();
        for (offset, (name, is)) in changes.into_iter().enumerate() {
            let id = id(&format!("w{name}"));
            let was = match &is {
                Some(workspace) => now.insert(id.clone(), Arc::clone(workspace)),
                None => now.remove(&id),
            };
            records.push(record(offset as u64 + 1, 0, Body::Workspace { id, is, was }));
            states.push(now.clone());
        }
        let same = |book: &Book, state: &std::collections::BTreeMap<Id, Arc<Workspace>>| {
            let knows = (0..3).map(|name| id(&format!("w{name}"))).all(|id| {
                book.workspace(&id) == state.get(&id)
            });
            let shows = ["x", "a", "a/b/x", "b/c", ""].iter().all(|path| {
                let expected = state.iter().filter(|(_, one)| one.root_of(path).is_some());
                book.showing(path).into_iter().eq(expected.map(|(id, _)| id))
            });
            knows && shows
        };
        let mut book = Book::new(now);
        for (record, state) in records.iter().zip(&states).rev() {
            book.rewind(record);
            prop_assert!(same(&book, state));
        }
        for (record, state) in records.iter().zip(&states[1..]) {
            book.take(record);
            prop_assert!(same(&book, state));
        }
    }

    /// Goal: nothing that a backend sends makes the bus panic.
    #[test]
    fn any_json_is_accepted_or_refused(text in ".{0,200}", topic in 0..5_usize) {
        let topic = BusTopic::ALL[topic];
        let wrapped = json!({"Target": text, "Type": text, "Acl": {"RoleID": text}}).to_string();
        for text in [text, wrapped] {
            if let Ok(accepted) = accept(topic, &text) {
                prop_assert!(serde_json::from_slice::<Value>(&accepted.data).is_ok());
            }
        }
    }
}
