//! Pydio's bus: workspaces that tails begin with, places of nodes, and parts that wait.

use super::*;
use crate::model::{Bus, BusStage, BusTopic, NodePaths, NodePlace, Root, TaskMark, Workspace};

fn workspace(path: &str) -> Arc<Workspace> {
    let root = Root { uuid: "r".to_owned(), path: path.to_owned() };
    Arc::new(Workspace { label: String::new(), roots: vec![root], rules: Vec::new() })
}

fn defines(id: &str, is: Option<&Arc<Workspace>>) -> Body {
    Body::Workspace { id: super::id(id), is: is.cloned(), was: None }
}

fn bus(stage: BusStage, data: &'static str) -> Body {
    Body::Bus(Bus {
        topic: BusTopic::Tree,
        stage,
        data: Bytes::from_static(data.as_bytes()),
        node: Some(Arc::from("a node")),
        origin: Arc::from("n1"),
        place: None,
        task: None,
    })
}

fn merged(first: u64, through: u64) -> Body {
    bus(BusStage::Merged { first, through, is_last: false }, r#"{"merged":true}"#)
}

fn merged_all(first: u64, through: u64) -> Body {
    bus(BusStage::Merged { first, through, is_last: true }, r#"{"merged":true}"#)
}

/// Goal: a tail begins with the workspaces at a place that it knows, and each change says
/// what was before it, so that any earlier place can be computed.
pub(in crate::log) async fn a_tail_begins_with_the_workspaces<B: Backend>() {
    let stage = Stage::open::<B>(limits()).await;
    let (one, two) = (workspace("a"), workspace("b"));
    stage.append(defines("w", Some(&one))).await;
    stage.append(defines("gone", Some(&one))).await;
    // What a draft says of the past does not count.
    let (is, was) = (Some(Arc::clone(&two)), Some(Arc::clone(&two)));
    stage.append(Body::Workspace { id: id("w"), is, was }).await;
    stage.append(defines("gone", None)).await;
    let tail = stage.log.attach(&stage.realm).await.unwrap();
    assert_eq!(tail.workspaces, (4, vec![(id("w"), Arc::clone(&two))]));
    let told: Vec<_> = stage
        .everything()
        .await
        .into_iter()
        .map(|record| match &record.body {
            Body::Workspace { is, was, .. } => (is.clone(), was.clone()),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        (Some(Arc::clone(&one)), None),
        (Some(Arc::clone(&one)), None),
        (Some(two), Some(Arc::clone(&one))),
        (None, Some(one)),
    ];
    assert_eq!(told, expected);
}

/// Goal: where nodes are is what was told last, by whatever record.
pub(in crate::log) async fn places_of_nodes_are_what_was_told_last<B: Backend>() {
    let stage = Stage::open::<B>(limits()).await;
    let place = async |uuid: &str| stage.log.node_path(&stage.realm, uuid).await.unwrap();
    stage.append(nodes(&[("n", "a/n"), ("m", "a/m")], &[])).await;
    assert_eq!(place("n").await.as_deref(), Some("a/n"));
    stage.append(moved("n", None, Some("b/n"))).await;
    assert_eq!(place("n").await.as_deref(), Some("b/n"));
    stage.append(moved("n", None, None)).await;
    stage.append(nodes(&[], &["m"])).await;
    assert_eq!((place("n").await, place("m").await), (None, None));
}

fn text(text: &str) -> Arc<str> {
    Arc::from(text)
}

fn nodes(set: &[(&str, &str)], remove: &[&str]) -> Body {
    let set = set.iter().map(|(uuid, path)| (text(uuid), text(path))).collect();
    let remove = remove.iter().map(|uuid| text(uuid)).collect();
    // What a draft says of folders does not count.
    Body::Nodes(NodePaths { set, remove, moved: vec![(text("x"), None)] })
}

/// An event that says where a node is, and where it was when others go along.
fn moved(uuid: &str, from: Option<&str>, path: Option<&str>) -> Body {
    let place = NodePlace { uuid: text(uuid), path: path.map(text), from: from.map(text) };
    let Body::Bus(event) = bus(BusStage::Whole, "{}") else { panic!("an event") };
    Body::Bus(Bus { place: Some(place), ..event })
}

/// Goal: what is known in a folder that moves goes along, and nothing else does.
pub(in crate::log) async fn a_folder_moves_with_what_is_in_it<B: Backend>() {
    let stage = Stage::open::<B>(limits()).await;
    let check = async |expected: [Option<&str>; 4]| {
        for (uuid, expected) in ["deep", "near", "odd", "folder"].into_iter().zip(expected) {
            let path = stage.log.node_path(&stage.realm, uuid).await.unwrap();
            assert_eq!(path.as_deref(), expected, "{uuid}");
        }
    };
    let odd = "a/b/it \"quotes\" \u{1f600}\n";
    let all = [("deep", "a/b/c/d"), ("near", "a/b-2/x"), ("odd", odd), ("folder", "a/b")];
    stage.append(nodes(&all, &[])).await;
    check([Some("a/b/c/d"), Some("a/b-2/x"), Some(odd), Some("a/b")]).await;
    stage.append(moved("folder", Some("a/b"), Some("z/y/b"))).await;
    let odd = "z/y/b/it \"quotes\" \u{1f600}\n";
    check([Some("z/y/b/c/d"), Some("a/b-2/x"), Some(odd), Some("z/y/b")]).await;
    // By its name alone, onto a folder that is there.
    stage.append(nodes(&[("folder", "a/b-2")], &[])).await;
    let odd = "a/b-2/it \"quotes\" \u{1f600}\n";
    check([Some("a/b-2/c/d"), Some("a/b-2/x"), Some(odd), Some("a/b-2")]).await;
    // Into itself; both of those that are one now.
    stage.append(moved("folder", Some("a/b-2"), Some("a/b-2/in"))).await;
    let odd = "a/b-2/in/it \"quotes\" \u{1f600}\n";
    check([Some("a/b-2/in/c/d"), Some("a/b-2/in/x"), Some(odd), Some("a/b-2/in")]).await;
    // Nobody told of the folder before.
    stage.append(moved("above", Some("a"), Some("b"))).await;
    stage.append(moved("c", Some("b/b-2/in/c"), None)).await;
    let odd = "b/b-2/in/it \"quotes\" \u{1f600}\n";
    check([None, Some("b/b-2/in/x"), Some(odd), Some("b/b-2/in")]).await;
    stage.append(nodes(&[("deep", "b/b-2/in/c/d")], &["folder"])).await;
    check([Some("b/b-2/in/c/d"), None, None, None]).await;
    let moved: Vec<_> = stage
        .everything()
        .await
        .into_iter()
        .filter_map(|record| match &record.body {
            Body::Nodes(nodes) => Some(nodes.moved.clone()),
            _ => None,
        })
        .collect();
    let expected =
        [vec![], vec![(text("z/y/b"), Some(text("a/b-2")))], vec![(text("b/b-2/in"), None)]];
    assert_eq!(moved, expected, "who reads the log is told of the folders");
}

/// Goal: an update that comes after the end of its task is nobody's, for a minute, and
/// every reader of the log finds the same.
pub(in crate::log) async fn updates_of_a_task_that_has_ended_are_nobodys<B: Backend>() {
    let stage = Stage::open::<B>(limits()).await;
    let update = |id: &str, is_final| {
        let Body::Bus(event) = bus(BusStage::Whole, r#"{"s":"w"}"#) else { panic!("an event") };
        let task = Some(TaskMark { id: text(id), is_final });
        Body::Bus(Bus { topic: BusTopic::Task, node: None, task, ..event })
    };
    for (id, is_final) in [("t", false), ("t", true), ("t", false), ("u", false), ("t", true)] {
        stage.append(update(id, is_final)).await;
    }
    stage.clock.advance(Duration::from_secs(59));
    stage.append(update("t", false)).await;
    stage.clock.advance(Duration::from_secs(2));
    stage.append(update("t", false)).await;
    let stages: Vec<BusStage> = stage
        .everything()
        .await
        .into_iter()
        .map(|record| match &record.body {
            Body::Bus(event) => {
                assert_eq!(&event.data[..], br#"{"s":"w"}"#, "what was published");
                event.stage
            }
            other => panic!("{other:?}"),
        })
        .collect();
    use BusStage::{Void, Whole};
    assert_eq!(stages, [Whole, Whole, Void, Whole, Whole, Void, Whole]);
    // An end that was published twice by one id ends it once.
    let first = stage.try_append(update("v", true), Some("end")).await.unwrap();
    let again = stage.try_append(update("v", true), Some("end")).await.unwrap();
    assert_eq!(first.position, again.position);
}

/// Goal: parts are merged exactly once, and before what has to come after them.
///
/// Method: everything that a node with an old view of the log may try is refused, and
/// leaves the log as it was.
pub(in crate::log) async fn parts_are_merged_once_and_before_the_last_word<B: Backend>() {
    let stage = Stage::open::<B>(limits()).await;
    let part = || bus(BusStage::Part, r#"{"part":true}"#);
    let last_word = || bus(BusStage::Whole, r#"{"last":true}"#);
    let waiting = |first, last| Err(AppendError::Waiting { first, last });
    assert_eq!(stage.append(last_word()).await, 1);
    assert_eq!(stage.try_append(merged(1, 1), None).await, waiting(0, 0), "nothing waits");
    for offset in [2, 3, 4] {
        assert_eq!(stage.append(part()).await, offset);
    }
    assert_eq!(stage.try_append(last_word(), None).await, waiting(2, 4));
    assert_eq!(stage.try_append(merged(3, 4), None).await, waiting(2, 4), "not from the first on");
    // One that does not know of the last part, and must.
    let drafts = [merged_all(2, 3), last_word()].map(|body| Draft { body, id: None });
    assert_eq!(stage.append_all(drafts.to_vec()).await, [waiting(2, 4), waiting(2, 4)]);
    // One that need not.
    assert_eq!(stage.append(merged(2, 3)).await, 5);
    assert_eq!(stage.try_append(merged(2, 3), None).await, waiting(4, 4), "a second time");
    // Both in one step, as who publishes the last word does it.
    let drafts = [merged(2, 4), last_word()].map(|body| Draft { body, id: None });
    let answers = stage.append_all(drafts.to_vec()).await;
    assert_eq!(answers.len(), 2);
    assert!(answers.iter().all(Result::is_err), "the first part was merged already");
    let drafts = [merged_all(4, 4), last_word()].map(|body| Draft { body, id: None });
    let answers = stage.append_all(drafts.to_vec()).await;
    let offsets: Vec<u64> = answers.into_iter().map(|one| one.unwrap().position.offset).collect();
    assert_eq!(offsets, [6, 7]);
    assert_eq!(stage.append(last_word()).await, 8);
}
