//! Requests: what is understood, what is refused, what closes.

use crate::dialect::json::JsonLimits;

use super::super::{ACTIONS, Action, Presence, decode, reply_fail};
use crate::model::View;

/// Plays a transcript. A line with `>` is sent; below it stands what comes of it:
/// `=` the action, `<` the reply that refuses, `!` the close code and the reason.
fn check(transcript: &str) {
    let lines: Vec<&str> =
        transcript.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let pairs = lines.chunks(2);
    assert!(pairs.len() > 0, "a transcript has lines");
    for pair in pairs {
        let sent = pair[0].strip_prefix("> ").expect("a transcript alternates");
        assert_eq!(outcome(sent), pair[1], "{sent}");
    }
}

fn outcome(text: &str) -> String {
    match decode(text, &JsonLimits::default()) {
        Ok(request) => match request.action {
            Ok(action) => format!("= {} {action:?}", request.seq),
            Err(refusal) => {
                let reply = reply_fail(request.seq, &refusal);
                format!("< {}", std::str::from_utf8(&reply).unwrap())
            }
        },
        Err(error) => format!("! {} {}", error.close().number(), error.label()),
    }
}

#[test]
fn every_action_is_understood() {
    check(
        r#"
        > {"action":"ping","seq":1}
        = 1 Ping
        > {"seq":2,"action":"ping","data":null}
        = 2 Ping
        > {"seq":3,"action":"ping","data":{"what":["ever",{}]},"more":1}
        = 3 Ping
        > {"seq":1,"action":"authentication_challenge","data":{"token":"secret.of.alice"}}
        = 1 AuthenticationChallenge((token))
        > {"seq":4,"action":"user_typing","data":{"channel_id":"c1","parent_id":""}}
        = 4 UserTyping { channel: c1, parent: None }
        > {"seq":5,"action":"user_typing","data":{"channel_id":"c1","parent_id":"p1"}}
        = 5 UserTyping { channel: c1, parent: Some(p1) }
        > {"seq":6,"action":"user_typing","data":{"channel_id":"c1"}}
        = 6 UserTyping { channel: c1, parent: None }
        > {"seq":7,"action":"user_update_active_status","data":{"user_is_active":true,"manual":false}}
        = 7 UserUpdateActiveStatus { active: true, manual: false }
        > {"seq":8,"action":"user_update_active_status","data":{"user_is_active":false,"manual":true}}
        = 8 UserUpdateActiveStatus { active: false, manual: true }
        > {"seq":9,"action":"user_update_active_status","data":{"user_is_active":true}}
        = 9 UserUpdateActiveStatus { active: true, manual: false }
        > {"seq":10,"action":"get_statuses","data":null}
        = 10 GetStatuses
        > {"seq":11,"action":"get_statuses_by_ids","data":{"user_ids":["b","a","b"]}}
        = 11 GetStatusesByIds([b, a])
        > {"seq":12,"action":"posted_notify_ack","data":{"post_id":"p","user_agent":"x","status":7}}
        = 12 PostedNotifyAck
        > {"seq":13,"action":"subscribe_statuses","data":{"user_ids":["a"]}}
        = 13 SubscribeStatuses([a])
        > {"seq":14,"action":"unsubscribe_statuses","data":{"user_ids":["a","b"]}}
        = 14 UnsubscribeStatuses([a, b])
        "#,
    );
}

#[test]
fn presence_takes_what_it_knows_and_ignores_wrong_types() {
    check(
        r#"
        > {"seq":1,"action":"presence","data":{"channel_id":"c1"}}
        = 1 Presence(Presence { channel: Some("c1"), thread_at_side: None, thread_in_view: None })
        > {"seq":1,"action":"presence","data":{"channel_id":""}}
        = 1 Presence(Presence { channel: Some(""), thread_at_side: None, thread_in_view: None })
        > {"seq":1,"action":"presence","data":{"team_id":"t1"}}
        = 1 Presence(Presence { channel: None, thread_at_side: None, thread_in_view: None })
        > {"seq":1,"action":"presence","data":{"thread_channel_id":"c1","is_thread_view":false}}
        = 1 Presence(Presence { channel: None, thread_at_side: Some("c1"), thread_in_view: None })
        > {"seq":1,"action":"presence","data":{"thread_channel_id":"c1"}}
        = 1 Presence(Presence { channel: None, thread_at_side: Some("c1"), thread_in_view: None })
        > {"seq":1,"action":"presence","data":{"thread_channel_id":"","is_thread_view":true}}
        = 1 Presence(Presence { channel: None, thread_at_side: None, thread_in_view: Some("") })
        > {"seq":1,"action":"presence","data":{"channel_id":7,"team_id":[],"is_thread_view":"x"}}
        = 1 Presence(Presence { channel: None, thread_at_side: None, thread_in_view: None })
        > {"seq":1,"action":"presence"}
        = 1 Presence(Presence { channel: None, thread_at_side: None, thread_in_view: None })
        > {"seq":1,"action":"presence","data":{"team_id":"a b"}}
        < {"status":"FAIL","seq_reply":1,"error":{"id":"api.websocket_handler.invalid_param.app_error","message":"parameter team_id is missing, malformed or not for you","detailed_error":"","status_code":400}}
        "#,
    );
}

#[test]
fn a_view_keeps_what_a_presence_does_not_mention() {
    let place = |text: &str| Some(text.into());
    let mut view = View::default();
    Presence { channel: place("c1"), ..Presence::default() }.apply(&mut view);
    Presence { thread_at_side: place("c2"), ..Presence::default() }.apply(&mut view);
    Presence { thread_in_view: place(""), ..Presence::default() }.apply(&mut view);
    let expected =
        View { channel: place("c1"), thread_at_side: place("c2"), thread_in_view: place("") };
    assert_eq!(view, expected);
    Presence { channel: place(""), ..Presence::default() }.apply(&mut view);
    assert_eq!(view, View { channel: place(""), ..expected });
}

#[test]
fn what_is_asked_wrongly_is_answered() {
    check(
        r#"
        > {"seq":1}
        < {"status":"FAIL","seq_reply":1,"error":{"id":"api.web_socket_router.no_action.app_error","message":"the request names no action","detailed_error":"","status_code":400}}
        > {"seq":1,"action":"","data":{}}
        < {"status":"FAIL","seq_reply":1,"error":{"id":"api.web_socket_router.no_action.app_error","message":"the request names no action","detailed_error":"","status_code":400}}
        > {"seq":1,"action":null}
        < {"status":"FAIL","seq_reply":1,"error":{"id":"api.web_socket_router.no_action.app_error","message":"the request names no action","detailed_error":"","status_code":400}}
        > {"seq":2,"action":"custom_com.mattermost.calls_join","data":{}}
        < {"status":"FAIL","seq_reply":2,"error":{"id":"api.web_socket_router.bad_action.app_error","message":"no action is named custom_com.mattermost.calls_join: this server has no plugins","detailed_error":"","status_code":500}}
        > {"seq":3,"action":"user_typing"}
        < {"status":"FAIL","seq_reply":3,"error":{"id":"api.websocket_handler.invalid_param.app_error","message":"parameter channel_id is missing, malformed or not for you","detailed_error":"","status_code":400}}
        > {"seq":3,"action":"user_typing","data":{"channel_id":"c1","parent_id":"a/b"}}
        < {"status":"FAIL","seq_reply":3,"error":{"id":"api.websocket_handler.invalid_param.app_error","message":"parameter parent_id is missing, malformed or not for you","detailed_error":"","status_code":400}}
        > {"seq":4,"action":"user_update_active_status","data":{"user_is_active":"yes"}}
        < {"status":"FAIL","seq_reply":4,"error":{"id":"api.websocket_handler.invalid_param.app_error","message":"parameter user_is_active is missing, malformed or not for you","detailed_error":"","status_code":400}}
        > {"seq":5,"action":"get_statuses_by_ids","data":{"user_ids":[]}}
        < {"status":"FAIL","seq_reply":5,"error":{"id":"api.websocket_handler.invalid_param.app_error","message":"parameter user_ids is missing, malformed or not for you","detailed_error":"","status_code":400}}
        > {"seq":5,"action":"subscribe_statuses","data":{"user_ids":["a",1]}}
        < {"status":"FAIL","seq_reply":5,"error":{"id":"api.websocket_handler.invalid_param.app_error","message":"parameter user_ids is missing, malformed or not for you","detailed_error":"","status_code":400}}
        > {"seq":6,"action":"authentication_challenge","data":{"token":7}}
        < {"status":"FAIL","seq_reply":6,"error":{"id":"api.websocket_handler.invalid_param.app_error","message":"parameter token is missing, malformed or not for you","detailed_error":"","status_code":400}}
        "#,
    );
}

#[test]
fn what_is_no_request_closes() {
    check(
        r#"
        > hello
        ! 1007 json
        > [1,2]
        ! 1007 shape
        > "ping"
        ! 1007 shape
        > {"seq":1,"action":7}
        ! 1007 shape
        > {"seq":1,"action":"ping","data":[]}
        ! 1007 shape
        > {"seq":1,"action":"ping","data":"x"}
        ! 1007 shape
        > {"seq":1,"action":"ping","data":0}
        ! 1007 shape
        > [1,"ping",null]
        ! 1007 shape
        > [1,"ping",{}]
        ! 1007 shape
        "#,
    );
}

#[test]
fn p01_deep_requests_close() {
    let deep = format!(r#"{{"seq":1,"data":{}1{}}}"#, "[".repeat(128), "]".repeat(128));
    assert_eq!(outcome(&deep), "! 1007 depth");
    assert_eq!(outcome(&"[".repeat(50_000)), "! 1007 depth");
}

#[test]
fn p02_duplicate_keys_close() {
    check(
        r#"
        > {"seq":1,"action":"ping","action":"get_statuses"}
        ! 1007 duplicate_key
        > {"seq":1,"action":"user_typing","data":{"channel_id":"a","channel_\u0069d":"b"}}
        ! 1007 duplicate_key
        "#,
    );
}

#[test]
fn p03_a_seq_that_is_no_positive_integer_closes() {
    check(
        r#"
        > {"seq":-1,"action":"ping"}
        ! 1007 seq
        > {"seq":0,"action":"ping"}
        ! 1007 seq
        > {"seq":-0,"action":"ping"}
        ! 1007 seq
        > {"seq":1.5,"action":"ping"}
        ! 1007 seq
        > {"seq":1.0,"action":"ping"}
        ! 1007 seq
        > {"seq":1e3,"action":"ping"}
        ! 1007 seq
        > {"seq":1e309,"action":"ping"}
        ! 1007 json
        > {"seq":9007199254740993,"action":"ping"}
        = 9007199254740993 Ping
        > {"seq":9223372036854775807,"action":"ping"}
        = 9223372036854775807 Ping
        > {"seq":9223372036854775808,"action":"ping"}
        ! 1007 seq
        > {"seq":18446744073709551616,"action":"ping"}
        ! 1007 seq
        > {"seq":"1","action":"ping"}
        ! 1007 seq
        > {"seq":null,"action":"ping"}
        ! 1007 seq
        > {"seq":[1],"action":"ping"}
        ! 1007 seq
        > {"action":"ping"}
        ! 1007 seq
        > {}
        ! 1007 seq
        "#,
    );
    let long = format!(r#"{{"seq":{},"action":"ping"}}"#, "1".repeat(400));
    assert_eq!(outcome(&long), "! 1007 json");
}

#[test]
fn p04_unknown_actions_are_answered_and_shown_safely() {
    check(
        r#"
        > {"seq":1,"action":"Ping"}
        < {"status":"FAIL","seq_reply":1,"error":{"id":"api.web_socket_router.bad_action.app_error","message":"no action is named Ping","detailed_error":"","status_code":500}}
        > {"seq":1,"action":"a\u0000\u001b[31m\n<b>"}
        < {"status":"FAIL","seq_reply":1,"error":{"id":"api.web_socket_router.bad_action.app_error","message":"no action is named a\\u{0}\\u{1b}[31m\\n\u003cb\u003e","detailed_error":"","status_code":500}}
        "#,
    );
    let long = outcome(&format!(r#"{{"seq":1,"action":"{}"}}"#, "x".repeat(30_000)));
    assert!(long.contains("bad_action") && long.len() < 300, "{long}");
    let too_long = outcome(&format!(r#"{{"seq":1,"action":"{}"}}"#, "x".repeat(1_000_000)));
    assert_eq!(too_long, "! 1007 string_bytes");
}

#[test]
fn p12_ids_that_could_be_injected_are_refused() {
    let long = "x".repeat(10_000);
    let hostile = [
        "",
        &long,
        "*",
        "?",
        "[",
        "{x}",
        "}",
        ":",
        "a:b",
        "\r\n",
        "a\r\nb",
        "\0",
        "../",
        "a/b",
        "\u{202e}a",
        "а",
        "e\u{301}",
        " a",
        "a ",
        "\"",
        "'",
        "~guest",
        "%00",
        "a,b",
        "$a",
        "<a>",
    ];
    for id in hostile {
        let id = serde_json::to_string(id).unwrap();
        let typing = format!(r#"{{"seq":1,"action":"user_typing","data":{{"channel_id":{id}}}}}"#);
        assert!(outcome(&typing).contains("parameter channel_id"), "{id}");
        for action in ["get_statuses_by_ids", "subscribe_statuses", "unsubscribe_statuses"] {
            let list =
                format!(r#"{{"seq":1,"action":"{action}","data":{{"user_ids":["fine",{id}]}}}}"#);
            assert!(outcome(&list).contains("parameter user_ids"), "{action} {id}");
        }
        if id != r#""""# {
            let presence =
                format!(r#"{{"seq":1,"action":"presence","data":{{"channel_id":{id}}}}}"#);
            assert!(outcome(&presence).contains("parameter channel_id"), "{id}");
        }
    }
    let longest = "x".repeat(64);
    let fine = format!(r#"{{"seq":1,"action":"user_typing","data":{{"channel_id":"{longest}"}}}}"#);
    assert!(outcome(&fine).starts_with("= 1 UserTyping"));
}

#[test]
fn p16_prototype_names_are_data() {
    check(
        r#"
        > {"seq":1,"__proto__":{"action":"get_statuses"},"action":"ping","data":{"constructor":{}}}
        = 1 Ping
        > {"seq":1,"action":"__proto__"}
        < {"status":"FAIL","seq_reply":1,"error":{"id":"api.web_socket_router.bad_action.app_error","message":"no action is named __proto__","detailed_error":"","status_code":500}}
        > {"seq":1,"action":"subscribe_statuses","data":{"user_ids":["__proto__","constructor"]}}
        = 1 SubscribeStatuses([__proto__, constructor])
        "#,
    );
}

#[test]
fn p19_several_requests_in_one_message_close() {
    let many = r#"{"seq":1,"action":"ping"}"#.to_owned() + "\n";
    assert_eq!(outcome(&many), "= 1 Ping");
    assert_eq!(outcome(&many.repeat(2)), "! 1007 json");
    assert_eq!(outcome(&many.repeat(100)), "! 1007 json");
    assert_eq!(outcome(&format!("[{}]", many.trim())), "! 1007 shape");
}

#[test]
fn the_table_of_actions_is_what_is_understood() {
    let data = r#"{"token":"t","channel_id":"c","user_is_active":true,"user_ids":["u"]}"#;
    for row in ACTIONS {
        let text = format!(r#"{{"seq":1,"action":"{}","data":{data}}}"#, row.name);
        let request = decode(&text, &JsonLimits::default()).unwrap();
        assert_eq!(request.action.as_ref().map(Action::name), Ok(row.name));
    }
}
