//! Goal: a query and a token have one reading.
//!
//! Method: tables of texts.

use super::*;

const ID: &str = "abcdefghijklmnopqrstuvwxyz";

#[test]
fn r04_sequence_numbers_are_whole_and_go_with_a_connection() {
    let resume = |text: &str| SocketQuery::parse(text).map(|query| query.resume.map(|at| at.1));
    assert_eq!(resume(""), Ok(None));
    assert_eq!(resume("connection_id=&sequence_number=0"), Ok(None));
    assert_eq!(resume(&format!("connection_id={ID}&sequence_number=7")), Ok(Some(7)));
    assert_eq!(resume(&format!("x=1&connection_id={ID}&sequence_number=0")), Ok(Some(0)));
    for bad in ["-1", "1.5", "9223372036854775808", "abc", "", "+1", "1e3", "%31", " 1"] {
        let text = format!("connection_id={ID}&sequence_number={bad}");
        assert!(resume(&text).is_err(), "{text}");
    }
    for bad in [
        format!("connection_id={ID}"),
        format!("connection_id={ID}&sequence_number=1&sequence_number=1"),
        format!("connection_id={ID}&connection_id={ID}&sequence_number=1"),
        "connection_id=short&sequence_number=1".to_owned(),
        format!("connection_id={}&sequence_number=1", ID.to_uppercase()),
        "sequence_number=abc".to_owned(),
        "connection_id&connection_id".to_owned(),
    ] {
        assert!(resume(&bad).is_err(), "{bad}");
    }
    let many: Vec<String> = (0..65).map(|index| format!("p{index}=1")).collect();
    assert!(resume(&many.join("&")).is_err());
}

#[test]
fn mattermost_parameters_are_read() {
    let query = SocketQuery::parse("posted_ack=true&disconnect_err_code=4001").unwrap();
    assert!(query.posted_ack);
    assert_eq!(query.disconnect_code, Some(4001));
    for code in ["999", "1017", "4002", "x", "-1"] {
        let query =
            SocketQuery::parse(&format!("posted_ack=1&disconnect_err_code={code}")).unwrap();
        assert_eq!((query.posted_ack, query.disconnect_code), (false, None), "{code}");
    }
}

#[test]
fn tokens_are_found_in_mattermosts_order() {
    let find = |lines: &[(&'static str, &str)], cookie| {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        BearerToken::find(&headers, cookie).map(|token| (token.text, token.from_cookie))
    };
    let some = |text: &str, cookie| Some((text.to_owned(), cookie));
    let all =
        [("authorization", "bearer b"), ("cookie", "x=1; MM=c"), ("authorization", "token t")];
    assert_eq!(find(&all, "MM"), some("c", true));
    assert_eq!(find(&all, ""), some("b", false));
    assert_eq!(find(&[("authorization", "TOKEN t")], "MM"), some("t", false));
    assert_eq!(find(&[("cookie", "MMM=c; MM=")], "MM"), None);
    assert_eq!(find(&[("authorization", "Basic x")], "MM"), None);
}

#[test]
fn debug_output_never_shows_a_token() {
    let token = BearerToken { text: "canary".to_owned(), from_cookie: false };
    assert!(!format!("{token:?}").contains("canary"));
}
