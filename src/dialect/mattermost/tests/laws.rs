//! What holds for any input.

use proptest::prelude::*;
use serde_json::Value;

use crate::{
    dialect::json::JsonLimits,
    model::{Body, Topic},
};

use super::super::{ACTIONS, ENCODING, Token, decode, reply_fail};
use super::outgoing::{event, framed, id, record};

/// Any JSON, small.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let key = prop_oneof![
            any::<String>(),
            "seq|action|data|channel_id|parent_id|token|user_ids|user_is_active|team_id",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The name of an action, mostly.
fn action() -> impl Strategy<Value = String> {
    let known = prop::sample::select(ACTIONS.map(|row| row.name.to_owned()).to_vec());
    prop_oneof![4 => known, 1 => any::<String>()]
}

proptest! {
    #[test]
    fn any_text_is_decoded_or_refused(text in any::<String>()) {
        if let Ok(request) = decode(&text, &JsonLimits::default()) {
            prop_assert!(request.seq.get() > 0);
        }
    }

    #[test]
    fn any_request_gets_an_action_or_a_reply_with_its_number(
        seq in 1..i64::MAX, action in action(), data in json(),
    ) {
        let text = serde_json::json!({"seq": seq, "action": action, "data": data}).to_string();
        let Ok(request) = decode(&text, &JsonLimits::default()) else {
            prop_assert!(!data.is_object() && !data.is_null(), "{}", text);
            return Ok(());
        };
        prop_assert_eq!(i64::try_from(request.seq.get()), Ok(seq));
        match request.action {
            Ok(found) => prop_assert_eq!(found.name(), action),
            Err(refusal) => {
                let reply: Value =
                    serde_json::from_slice(&reply_fail(request.seq, &refusal)).unwrap();
                prop_assert_eq!(&reply["seq_reply"], &Value::from(seq));
                prop_assert_eq!(&reply["status"], "FAIL");
            }
        }
    }

    #[test]
    fn any_event_comes_back(
        name in any::<String>(),
        data in prop::collection::hash_map(any::<String>(), json(), 0..4),
        to in prop::sample::select(vec![
            Topic::Channel(id("c")), Topic::User(id("u")), Topic::Everyone,
        ]),
        seq in any::<u64>(),
    ) {
        let data = Value::Object(data.into_iter().collect()).to_string();
        let published = event(&name, &data, to);
        let frame = framed(&ENCODING, &record(Body::Event(published)), seq);
        let value: Value = serde_json::from_str(&frame).unwrap();
        prop_assert_eq!(&value["event"], &Value::from(name));
        // Read from the same digits: the parser does not promise the last bit of a float.
        prop_assert_eq!(&value["data"], &serde_json::from_str::<Value>(&data).unwrap());
        prop_assert_eq!(&value["seq"], &Value::from(seq));
        prop_assert_eq!(value.as_object().map(serde_json::Map::len), Some(4));
    }

    #[test]
    fn a_token_is_never_shown(secret in "[a-z]{20,40}") {
        let text = serde_json::json!({
            "seq": 1, "action": "authentication_challenge", "data": {"token": &secret},
        });
        let request = decode(&text.to_string(), &JsonLimits::default()).unwrap();
        let debug = format!("{request:?}");
        prop_assert!(!debug.contains(&secret));
        let token = Token::new(&secret);
        prop_assert_eq!(token.reveal(), &secret);
    }
}
