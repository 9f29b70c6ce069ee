//! Goal: a query has one reading.
//!
//! Method: tables of texts.

use super::*;

const ID: &str = "abcdefghijklmnopqrstuvwxyz";

#[test]
fn r04_sequence_numbers_are_whole_and_go_with_a_connection() {
    let resume = |text: &str| SocketQuery::parse(text).map(|query| query.resume.map(|at| at.next));
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
fn a_guests_name_is_decoded() {
    let name = |text: &str| SocketQuery::parse(text).map(|query| query.guest_name);
    assert_eq!(name("name=J%C3%BCrgen+B"), Ok(Some("J\u{fc}rgen B".to_owned())));
    assert_eq!(name("name="), Ok(Some(String::new())));
    assert_eq!(name(""), Ok(None));
    for bad in ["name=%", "name=%4", "name=%zz", "name=%ff"] {
        assert!(name(bad).is_err(), "{bad}");
    }
}
