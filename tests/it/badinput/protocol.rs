//! Goal: messages that are no requests end the socket with 1007 or 1003, and nobody
//! else notices.
//!
//! Method: the text of each row on a socket of its own, authenticated and not.

use serde_json::json;

use super::{Lab, ping, text_frame};
use crate::ws::client::frame;

/// Sends each text on a socket of alice and on one of nobody.
async fn check(lab: &mut Lab, code: u16, rows: &[(String, &str)]) {
    for (text, reason) in rows {
        let alice = lab.join("alice").await;
        lab.refuses(alice, &text_frame(text), (code, "message", reason)).await;
        if text.len() < 12 * 1024 {
            let stranger = lab.stranger().await;
            lab.refuses(stranger, &text_frame(text), (code, "message", reason)).await;
        }
    }
    lab.is_undisturbed().await;
}

fn with_data(data: &str) -> String {
    format!(r#"{{"seq":1,"action":"ping","data":{data}}}"#)
}

#[tokio::test]
async fn p01_deep_json_is_1007() {
    let mut lab = Lab::new().await;
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let mut alice = lab.join("alice").await;
    let fits = format!(r#"{{"a":{}}}"#, nested(30));
    alice.text(&with_data(&fits)).await;
    assert_eq!(alice.reply(1).await["status"], "OK");
    let over = format!(r#"{{"a":{}}}"#, nested(31));
    let rows = [
        (with_data(&over), "depth"),
        (nested(128), "depth"),
        ("[".repeat(60_000), "depth"),
        (r#"{"a":"#.repeat(10_000), "depth"),
    ];
    check(&mut lab, 1007, &rows).await;
    let alice = lab.join("alice").await;
    let huge = text_frame(&"[".repeat(100_000));
    lab.refuses(alice, &huge, (1009, "frame", "too_big")).await;
}

#[tokio::test]
async fn p02_a_key_named_twice_is_1007() {
    let mut lab = Lab::new().await;
    let rows = [
        r#"{"seq":1,"action":"ping","action":"user_typing"}"#,
        r#"{"seq":1,"seq":2,"action":"ping"}"#,
        r#"{"seq":1,"action":"ping","\u0061ction":"ping"}"#,
        r#"{"seq":1,"action":"ping","data":{"a":{"b":1,"b":1}}}"#,
    ];
    check(&mut lab, 1007, &rows.map(|text| (text.to_owned(), "duplicate_key"))).await;
}

#[tokio::test]
async fn p03_a_number_that_is_no_positive_integer_is_1007() {
    let mut lab = Lab::new().await;
    let text = |seq: &str| format!(r#"{{"seq":{seq},"action":"ping"}}"#);
    let mut rows: Vec<(String, &str)> =
        ["-1", "0", "1.5", "1e2", "9223372036854775808", r#""1""#, "null", "[1]", "true"]
            .map(|seq| (text(seq), "seq"))
            .to_vec();
    rows.push((r#"{"action":"ping"}"#.to_owned(), "seq"));
    rows.push((text("1e309"), "json"));
    rows.push((text(&"9".repeat(10_400)), "json"));
    rows.push((text("01"), "json"));
    check(&mut lab, 1007, &rows).await;
    let mut alice = lab.join("alice").await;
    for seq in [9_007_199_254_740_993, i64::MAX.cast_unsigned()] {
        alice.text(&ping(seq)).await;
        assert_eq!(alice.reply(seq).await["status"], "OK", "{seq} as it is");
    }
}

#[tokio::test]
async fn p08_binary_messages_are_1003() {
    let mut lab = Lab::new().await;
    let map = b"\x82\xa3seq\x01\xa6action\xa4ping".to_vec();
    for bytes in [map, b"".to_vec(), b"\xdd\xff\xff\xff\xff".to_vec()] {
        for person in [lab.join("alice").await, lab.stranger().await] {
            lab.refuses(person, &frame(0x82, &bytes), (1003, "message", "binary")).await;
        }
    }
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn p16_prototype_names_are_data() {
    let mut lab = Lab::new().await;
    let mut alice = lab.join("alice").await;
    let names = json!({"__proto__": {"a": 1}, "constructor": "c", "toString": null});
    let reply = alice.ask(1, "posted_notify_ack", names.clone()).await;
    assert_eq!(reply, json!({"status": "OK", "seq_reply": 1}));
    lab.publish_data(&names).await;
    assert_eq!(alice.event("posted").await["data"], names);
    assert_eq!(lab.witness.event("posted").await["data"], names);
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn p19_one_message_holds_one_request() {
    let mut lab = Lab::new().await;
    let lines: Vec<String> = (1..=100).map(ping).collect();
    let rows = [
        (lines.join("\n"), "json"),
        (lines[..2].join(""), "json"),
        (format!("{} x", ping(1)), "json"),
        (format!("[{}]", lines.join(",")), "shape"),
        ("[]".to_owned(), "shape"),
        ("\"ping\"".to_owned(), "shape"),
        (String::new(), "json"),
        (with_data("[]"), "shape"),
        (r#"{"seq":1,"action":7}"#.to_owned(), "shape"),
    ];
    check(&mut lab, 1007, &rows).await;
}

#[tokio::test]
async fn p_lists_and_strings_are_bounded() {
    let mut lab = Lab::new().await;
    let users = |count: usize| json!({"user_ids": vec!["u"; count]}).to_string();
    let mut alice = lab.join("alice").await;
    alice.text(&with_data(&users(256))).await;
    assert_eq!(alice.reply(1).await["status"], "OK");
    let long = json!({"text": "x".repeat(32 * 1024 + 1)}).to_string();
    let rows = [(with_data(&users(257)), "elements"), (with_data(&long), "string_bytes")];
    check(&mut lab, 1007, &rows).await;
}
