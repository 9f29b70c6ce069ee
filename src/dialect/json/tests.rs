//! Goal: nothing that parsers disagree about, or that costs too much, gets through.
//!
//! Method: tables of texts at and beyond each limit, and arbitrary texts compared
//! with what the parser alone would say.

use proptest::prelude::*;
use serde_json::Value;

use super::{JsonError, JsonLimits, check, parse, parse_object, push_string, shown};

fn refused(text: &str, expected: JsonError) {
    let found = check(text, &JsonLimits::default());
    let start: String = text.chars().take(60).collect();
    assert_eq!(found, Err(expected), "{start}");
}

fn accepted(text: &str) {
    let start: String = text.chars().take(60).collect();
    assert_eq!(check(text, &JsonLimits::default()), Ok(()), "{start}");
}

fn nested(depth: usize, open: &str, close: &str) -> String {
    format!("{}1{}", open.repeat(depth), close.repeat(depth))
}

#[test]
fn p01_depth_is_bounded() {
    accepted(&nested(32, "[", "]"));
    accepted(&nested(32, r#"{"a":"#, "}"));
    refused(&nested(33, "[", "]"), JsonError::Depth);
    refused(&nested(33, r#"{"a":"#, "}"), JsonError::Depth);
    refused(&nested(128, "[", "]"), JsonError::Depth);
    refused(&"[".repeat(100_000), JsonError::Depth);
    refused(&r#"{"a":["#.repeat(50_000), JsonError::Depth);
    let flat = JsonLimits { depth: 0, ..JsonLimits::default() };
    assert_eq!(check("1", &flat), Ok(()));
    assert_eq!(check("[]", &flat), Err(JsonError::Depth));
}

#[test]
fn p02_a_key_named_twice_is_refused_at_any_level() {
    for text in [
        r#"{"action":"a","action":"b"}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"x":{"y":[{"a":1,"b":2,"a":1}]}}"#,
        r#"[{"":1,"":1}]"#,
    ] {
        refused(text, JsonError::DuplicateKey);
    }
    accepted(r#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}"#);
}

#[test]
fn elements_and_strings_are_bounded() {
    let array = |count: usize| format!("[{}]", vec!["0"; count].join(","));
    let object = |count: usize| {
        let members: Vec<String> = (0..count).map(|key| format!("\"{key}\":0")).collect();
        format!("{{{}}}", members.join(","))
    };
    accepted(&array(256));
    accepted(&object(256));
    refused(&array(257), JsonError::Elements);
    refused(&object(257), JsonError::Elements);
    let text = "x".repeat(32 * 1024);
    accepted(&format!("\"{text}\""));
    refused(&format!("\"{text}y\""), JsonError::StringBytes);
    refused(&format!("{{\"{text}y\":0}}"), JsonError::StringBytes);
    // Counted after unescaping: 6 bytes on the wire are one here.
    accepted(&format!("\"{}\"", "\\u0061".repeat(32 * 1024)));
}

#[test]
fn p03_numbers_without_a_finite_value_are_refused() {
    for text in ["1e309", "-1e309", "NaN", "Infinity", "-", "01", "0x1", "1.", ".5", "+1"] {
        refused(text, JsonError::Syntax);
    }
    refused(&format!("{{\"seq\":{}}}", "9".repeat(400)), JsonError::Syntax);
    for text in ["0", "-0", "1.5", "1e308", "9007199254740993", "9223372036854775808", "1e-999"] {
        accepted(text);
    }
}

#[test]
fn p16_prototype_names_are_data() {
    let text = r#"{"__proto__":{"constructor":1},"constructor":{"prototype":{}},"toString":null}"#;
    let value: Value = parse(text, &JsonLimits::default()).unwrap();
    assert_eq!(value["__proto__"]["constructor"], 1);
}

#[test]
fn p19_one_value_per_message() {
    for text in ["", " ", "{}{}", "{}\n{}", "{} x", "[],", "{\"a\":1}\0", "\u{feff}{}", "1 2"] {
        refused(text, JsonError::Syntax);
    }
    accepted(" \r\n\t{} \n");
}

#[test]
fn what_is_not_json_is_refused() {
    for text in [
        "{",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "'a'",
        "\"\n\"",
        "\"\\x\"",
        "\"\\ud800\"",
        "tru",
        "// c\n1",
    ] {
        refused(text, JsonError::Syntax);
    }
}

#[test]
fn a_value_of_another_shape_is_refused() {
    let found: Result<Vec<u8>, JsonError> = parse(r#"{"a":1}"#, &JsonLimits::default());
    assert_eq!(found, Err(JsonError::Shape));
}

#[test]
fn a_list_is_not_taken_for_the_members_of_an_object() {
    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Point {
        x: u8,
    }
    let point = |text| parse_object::<Point>(text, &JsonLimits::default());
    assert_eq!(point(" \r\n\t{\"x\":1}"), Ok(Point { x: 1 }));
    assert_eq!(parse::<Point>("[1]", &JsonLimits::default()), Ok(Point { x: 1 }));
    for text in ["[1]", " [1]", "1"] {
        assert_eq!(point(text), Err(JsonError::Shape), "{text}");
    }
    assert_eq!(point(""), Err(JsonError::Syntax));
}

#[test]
fn each_error_has_a_label_of_its_own_and_closes_with_1007() {
    let labels: std::collections::BTreeSet<&str> =
        JsonError::ALL.into_iter().map(JsonError::label).collect();
    assert_eq!(labels.len(), JsonError::ALL.len());
    assert!(JsonError::ALL.into_iter().all(|error| error.close().number() == 1007));
}

#[test]
fn strings_are_escaped_for_json_and_for_html() {
    let string = |text: &str| {
        let mut json = String::new();
        push_string(&mut json, text);
        json
    };
    assert_eq!(string(""), r#""""#);
    assert_eq!(string("añ漢😀"), "\"añ漢😀\"");
    assert_eq!(string("\"\\\n\r\t\u{1}\u{7f}"), "\"\\\"\\\\\\n\\r\\t\\u0001\u{7f}\"");
    assert_eq!(string("</a>&\u{2028}\u{2029}"), r#""\u003c/a\u003e\u0026\u2028\u2029""#);
}

#[test]
fn p04_names_are_shown_short_and_in_printable_ascii() {
    assert_eq!(shown("user_typing"), "user_typing");
    assert_eq!(shown("a\nb\u{1b}[31m\0\"é"), "a\\nb\\u{1b}[31m\\u{0}\\\"\\u{e9}");
    assert_eq!(shown(&"x".repeat(64)), "x".repeat(64));
    assert_eq!(shown(&"x".repeat(1_000_000)), format!("{}...", "x".repeat(61)));
    let wide = shown(&"\u{202e}".repeat(1_000));
    assert!(wide.len() <= 64 && wide.ends_with("..."), "{wide}");
}

proptest! {
    /// Text of JSON's own symbols meets the grammar far more often than any text.
    #[test]
    fn any_text_is_judged_as_the_parser_judges_it(
        text in prop_oneof![any::<String>(), r#"[\[\]{}:,"a10eE.+\\u \-tf]{0,40}"#],
    ) {
        let limits = JsonLimits { depth: 100, elements: 1_000, string_bytes: 1_000 };
        let parsed = serde_json::from_str::<Value>(&text).is_ok();
        match check(&text, &limits) {
            Ok(()) => prop_assert!(parsed),
            Err(JsonError::DuplicateKey) => {}
            Err(error) => prop_assert!(!parsed, "{error}"),
        }
    }

    #[test]
    fn any_string_comes_back(text in any::<String>()) {
        let mut json = String::new();
        push_string(&mut json, &text);
        prop_assert_eq!(&serde_json::from_str::<String>(&json).unwrap(), &text);
        let unsafe_in_html = ['<', '>', '&', '\u{2028}', '\u{2029}'];
        prop_assert_eq!(json.find(unsafe_in_html), None);
    }

    #[test]
    fn any_name_is_shown_safely(name in any::<String>()) {
        let safe = shown(&name);
        prop_assert!(safe.len() <= 64);
        prop_assert!(safe.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
    }
}
