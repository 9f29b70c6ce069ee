//! Goal: a token is found where Mattermost looks for it, and an API key opens the
//! realms that it was made for.

use crate::{
    auth::{ApiKeys, TokenSource, api_key_from_headers, token_from_headers},
    config::{ApiKey, Secret},
};

type Lines = &'static [(&'static str, &'static [u8])];

#[test]
fn a22_the_source_of_a_token_is_told() {
    let cookie = |token| Some(TokenSource { token, from_cookie: true });
    let header = |token| Some(TokenSource { token, from_cookie: false });
    let rows: [(Lines, _); 20] = [
        (&[], None),
        (&[("host", b"localhost")], None),
        (&[("authorization", b"Bearer abc")], header("abc")),
        (&[("Authorization", b"BEARER abc")], header("abc")),
        (&[("authorization", b"bearer   abc ")], header("abc")),
        (&[("authorization", b"Token abc")], header("abc")),
        (&[("authorization", b"token abc")], header("abc")),
        (&[("authorization", b"Basic abc")], None),
        (&[("authorization", b"Bearer")], None),
        (&[("authorization", b"Bearer ")], None),
        (&[("authorization", b"Bearerabc")], None),
        (&[("authorization", b"Token t"), ("authorization", b"Bearer b")], header("b")),
        (&[("authorization", b"Bearer b"), ("cookie", b"MMAUTHTOKEN=c")], cookie("c")),
        (&[("cookie", b"a=1; MMAUTHTOKEN=c; b=2")], cookie("c")),
        (&[("Cookie", b"a=1"), ("Cookie", b"MMAUTHTOKEN=\"c\"")], cookie("c")),
        (&[("cookie", b"MMAUTHTOKEN=first; MMAUTHTOKEN=second")], cookie("first")),
        (&[("cookie", b"mmauthtoken=c; XMMAUTHTOKEN=d")], None),
        (&[("cookie", b"MMAUTHTOKEN="), ("authorization", b"Bearer b")], header("b")),
        (&[("cookie", b"MMAUTHTOKEN=\xff"), ("authorization", b"Bearer b")], header("b")),
        (&[("authorization", b"Bearer \xff")], None),
    ];
    for (lines, expected) in rows {
        let found = token_from_headers(lines.iter().copied(), "MMAUTHTOKEN");
        assert!(found == expected, "{lines:?}");
    }
}

#[test]
fn an_empty_cookie_name_turns_cookies_off() {
    let lines: Lines = &[("cookie", b"=c; MMAUTHTOKEN=d"), ("authorization", b"Bearer b")];
    let found = token_from_headers(lines.iter().copied(), "").unwrap();
    assert_eq!((found.token, found.from_cookie), ("b", false));
}

fn keys() -> ApiKeys {
    let key = |name: &str, key: &str, realms: &[&str]| ApiKey {
        name: name.to_owned(),
        key: Secret::new(key),
        realms: realms.iter().map(|realm| (*realm).to_owned()).collect(),
    };
    ApiKeys::new(&[
        key("everything", "key-for-every-realm", &[]),
        key("acme", "key-for-acme", &["acme", "acme-test"]),
        key("empty", "", &[]),
    ])
}

#[test]
fn s01_only_the_exact_key_in_the_header_is_known() {
    let find = |line: &'static [u8]| {
        let presented = api_key_from_headers([("authorization", line)])?;
        keys().find(presented).map(|caller| (caller.name.clone(), caller.index))
    };
    let everything = Some(("everything".to_owned(), 0));
    let rows: [(&[u8], _); 12] = [
        (b"Bearer key-for-every-realm", everything.clone()),
        (b"bearer key-for-every-realm", everything),
        (b"Bearer key-for-acme", Some(("acme".to_owned(), 1))),
        (b"Bearer KEY-FOR-ACME", None),
        (b"Bearer k", None),
        (b"Bearer key-for-acm", None),
        (b"Bearer key-for-acmee", None),
        (b"Bearer ", None),
        (b"Token key-for-acme", None),
        (b"Basic key-for-acme", None),
        (b"key-for-acme", None),
        (b"", None),
    ];
    for (line, expected) in rows {
        assert_eq!(find(line), expected, "{:?}", String::from_utf8_lossy(line));
    }
    assert_eq!(api_key_from_headers([("cookie", b"key=key-for-acme".as_slice())]), None);
    assert_eq!(keys().find(""), None);
    assert!(!keys().is_empty());
    assert!(ApiKeys::new(&[]).is_empty());
}

#[test]
fn s02_a_key_opens_exactly_its_realms() {
    let keys = keys();
    let rows = [
        ("key-for-acme", "acme", true),
        ("key-for-acme", "acme-test", true),
        ("key-for-acme", "default", false),
        ("key-for-acme", "acm", false),
        ("key-for-acme", "acme2", false),
        ("key-for-acme", "ACME", false),
        ("key-for-acme", "*", false),
        ("key-for-acme", "", false),
        ("key-for-every-realm", "default", true),
        ("key-for-every-realm", "acme", true),
    ];
    for (key, realm, expected) in rows {
        assert_eq!(keys.find(key).unwrap().may_use(realm), expected, "{key} {realm}");
    }
}
