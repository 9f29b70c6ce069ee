//! What the world of the other tests never does.
//!
//! Goal: each answer of the checker that no mutant asks for.
//!
//! Method: histories by hand, a few lines each, checked for the names of the
//! invariants that they break.

use hubbub_check::{Options, check, read::Read, report::Invariant};

/// Writes short lines out: `at` becomes time and writer, `pos` a position.
fn expand(line: &str, at: usize) -> String {
    let line = line.trim().replace("'", "\"");
    format!("{{\"at\":{at},\"w\":\"w\",{line}}}")
}

#[track_caller]
fn broken(files: &[&str]) -> Vec<&'static str> {
    let mut read = Read::default();
    for (number, text) in files.iter().enumerate() {
        let lines = text.trim().lines().filter(|line| !line.trim().is_empty());
        let lines: Vec<String> = lines
            .map(|line| {
                let (at, line) = line.trim().split_once(' ').unwrap();
                expand(line, at.parse().unwrap())
            })
            .collect();
        read.add(&format!("f{number}"), &lines.join("\n"));
    }
    assert!(read.bad.is_empty(), "{:?}", read.bad);
    let report = check(&read.history, &Options { allow_empty: true, ..Options::default() });
    let all = Invariant::ALL.into_iter();
    all.filter(|one| report.count(*one) > 0).map(Invariant::label).collect()
}

const NONE: [&str; 0] = [];

const TWO: &str = "
    10 'op':'pub','ph':'invoke','pid':'a','to':{'user':'u'}
    11 'op':'pub','ph':'ok','pid':'a','pos':{'generation':'1.x','offset':5,'tag':'t5'}
    20 'op':'pub','ph':'invoke','pid':'b','to':{'user':'u'}
    21 'op':'pub','ph':'ok','pid':'b','pos':{'generation':'1.x','offset':6,'tag':'t6'}";

const HELLO: &str = "
    1 'op':'open','sock':'s','user':'u','node':'n','cid':null,'n':null
    2 'op':'hello','sock':'s','cid':'c','user':'u'";

fn client(more: &str) -> String {
    format!("{HELLO}\n{more}")
}

#[test]
fn a_replaced_socket_says_nothing_more() {
    let two_sockets = |sock: &str| {
        client(&format!(
            "12 'op':'recv','sock':'s','cid':'c','seq':1,'eid':'a'
             13 'op':'open','sock':'z','user':'u','node':'n','cid':'c','n':2
             14 'op':'resumed','sock':'z','cid':'c','n':2
             22 'op':'recv','sock':'{sock}','cid':'c','seq':2,'eid':'b'"
        ))
    };
    assert_eq!(broken(&[TWO, &two_sockets("z")]), NONE);
    assert_eq!(broken(&[TWO, &two_sockets("s")]), ["I-SEQ"]);
}

#[test]
fn a_connection_that_two_clients_have_counts_once() {
    let first = client("12 'op':'recv','sock':'s','cid':'c','seq':1,'eid':'a'");
    let second = |eid: &str, n: u64| {
        format!(
            "13 'op':'open','sock':'z','user':'u','node':'n','cid':'c','n':{n}
             14 'op':'resumed','sock':'z','cid':'c','n':{n}
             22 'op':'recv','sock':'z','cid':'c','seq':{n},'eid':'{eid}'"
        )
    };
    assert_eq!(broken(&[TWO, &first, &second("b", 2)]), NONE);
    assert_eq!(broken(&[TWO, &first, &second("a", 1)]), ["I-SEQ", "I-DUP"]);
}

#[test]
fn two_records_have_no_common_place() {
    let other = TWO.replace("'offset':6,'tag':'t6'", "'offset':5,'tag':'t6'");
    assert_eq!(broken(&[&other, HELLO]), ["I-ORD"]);
    let nonce = TWO.replace("'generation':'1.x','offset':6", "'generation':'1.y','offset':6");
    assert_eq!(broken(&[&nonce, HELLO]), ["I-ORD"]);
    let backwards = TWO.replace("'offset':6", "'offset':4");
    assert_eq!(broken(&[&backwards, HELLO]), ["I-ORD"]);
}

#[test]
fn an_event_before_the_first_received_one_must_come_when_it_began_after_the_hello() {
    let late = client("22 'op':'recv','sock':'s','cid':'c','seq':1,'eid':'b'");
    assert_eq!(broken(&[TWO, &late]), ["I-ACK"]);
    let grey = late.replace("2 'op':'hello'", "15 'op':'hello'");
    assert_eq!(broken(&[TWO, &grey]), NONE);
}

#[test]
fn a_token_ends_what_it_began() {
    let one = client("9000 'op':'recv','sock':'s','cid':'c','seq':1,'eid':'a'");
    let token = |end| format!("1 'op':'token','user':'u','sid':'x','not_after':{end}");
    assert_eq!(broken(&[TWO, &one, &token(4_000)]), NONE);
    assert_eq!(broken(&[TWO, &one, &token(3_000)]), ["I-AUTH"]);
}

#[test]
fn a_barrier_for_others_leaves_the_tail_to_be_checked() {
    let barrier = "
        30 'op':'pub','ph':'invoke','pid':'e','to':{'user':'v'}
        31 'op':'pub','ph':'ok','pid':'e','pos':{'generation':'1.x','offset':9,'tag':'t9'}
        32 'op':'barrier','pid':'e'";
    let publisher = format!("{TWO}\n{barrier}");
    let one = client("12 'op':'recv','sock':'s','cid':'c','seq':1,'eid':'a'");
    assert_eq!(broken(&[&publisher, &one]), ["I-LIVE"]);
    let both = format!("{one}\n22 'op':'recv','sock':'s','cid':'c','seq':2,'eid':'b'");
    assert_eq!(broken(&[&publisher, &both]), NONE);
    let gone = format!("{one}\n23 'op':'close','sock':'s','code':1006");
    assert_eq!(broken(&[&publisher, &gone]), NONE);
}

#[test]
fn a_fault_that_loses_nothing_excuses_no_reset() {
    let anew = client(
        "40 'op':'open','sock':'z','user':'u','node':'n','cid':'c','n':1
         41 'op':'hello','sock':'z','cid':'d','user':'u'",
    );
    let fault = |lossy: bool, name: &str| {
        format!("30 'op':'fault','what':'inject','fault':'{name}','lossy':{lossy}")
    };
    assert_eq!(broken(&[&anew, &fault(false, "kill")]), ["I-RST"]);
    assert_eq!(broken(&[&anew, &fault(true, "flush")]), NONE);
    assert_eq!(broken(&[&anew, &fault(false, "trim")]), NONE);
    let bad_n = anew.replace("'cid':'c','n':1", "'cid':'c','n':7");
    assert_eq!(broken(&[&bad_n]), NONE, "what nobody sent cannot be gone on with");
}
