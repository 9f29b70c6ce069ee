//! Goal: the rules in Lua and those of `merge` are the same.
//!
//! Method: a script that only decides answers for random users, many in one call, and
//! every answer must be that of `merge`.

use std::sync::Arc;

use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, TestRunner},
};

use super::super::wire::{self, Row};
use crate::{
    clock::random_connection_id,
    log::PRELUDE,
    model::{ManualStatus, Status},
    presence::{
        DeviceRecord, Rules,
        merge::{self, Before, Choice, Overlay},
    },
    redis_client::{Script, testing::Server},
};

/// What time is never: the scripts say so, where Rust has [`u64::MAX`].
const NEVER: u64 = 9_000_000_000_000_000;

const DECIDE: &str = "
local answers = {}
for index = OWN, #ARGV, 4 do
    local row = read_row(ARGV[index])
    if ARGV[index + 2] ~= '' then choose(row, ARGV[index + 2], ARGV[index + 3]) end
    local seen = seen_nothing(row)
    see(ARGV[index + 1], seen)
    local shown, holds = decide(row, seen)
    row.shown, row.newest, row.due = shown, seen.newest, holds
    answers[#answers + 1] = write_row(row)
end
return answers";

#[derive(Debug, Clone)]
struct User {
    overlay: Overlay,
    devices: Vec<DeviceRecord>,
    chosen: Option<Option<ManualStatus>>,
}

fn letter(before: Before) -> char {
    match before {
        Before::Devices => '-',
        Before::Away => 'a',
        Before::Offline => 'f',
        Before::Ooo => 'o',
    }
}

fn choice_text(choice: Choice) -> String {
    match choice {
        Choice::Devices => "-:-:-".to_owned(),
        Choice::Away => "a:-:-".to_owned(),
        Choice::Offline => "f:-:-".to_owned(),
        Choice::Ooo => "o:-:-".to_owned(),
        Choice::Dnd(before) => format!("d:{}:-", letter(before)),
        Choice::DndUntil(ends_at, before) => format!("d:{}:{ends_at}", letter(before)),
    }
}

fn users(now_ms: u64) -> impl Strategy<Value = User> {
    // Mostly in whole seconds from now, so that times meet.
    let time = || {
        prop_oneof![
            3 => (0..80_u64).prop_map(move |ago| now_ms + 20_000 - ago * 1_000),
            1 => now_ms - 60_000..now_ms + 20_000,
        ]
    };
    let seconds = now_ms / 1_000;
    let device = (time(), time(), prop::option::of(time())).prop_map(|(since, active, dropped)| {
        DeviceRecord {
            node: Arc::from(""),
            connection: random_connection_id(),
            since_ms: since,
            active_at_ms: active,
            dropped_at_ms: dropped,
        }
    });
    let before =
        || prop::sample::select(vec![Before::Devices, Before::Away, Before::Offline, Before::Ooo]);
    let ends = || prop_oneof![seconds - 30..seconds + 30, Just(0), Just(u64::MAX)];
    let choice = prop_oneof![
        4 => Just(Choice::Devices),
        1 => Just(Choice::Away),
        1 => Just(Choice::Offline),
        1 => Just(Choice::Ooo),
        1 => before().prop_map(Choice::Dnd),
        3 => (ends(), before()).prop_map(|(ends_at, before)| Choice::DndUntil(ends_at, before)),
    ];
    let manual = prop_oneof![
        Just(ManualStatus::Online),
        Just(ManualStatus::Away),
        Just(ManualStatus::Dnd),
        ends().prop_map(ManualStatus::DndUntil),
        Just(ManualStatus::Offline),
        Just(ManualStatus::Ooo),
    ];
    let touched = prop_oneof![Just(0), time()];
    (
        prop::collection::vec(device, 0..4),
        choice,
        touched.clone(),
        touched,
        prop::option::weighted(0.3, prop::option::of(manual)),
    )
        .prop_map(|(devices, choice, touched_at_ms, remembered_at_ms, chosen)| User {
            overlay: Overlay { choice, touched_at_ms, remembered_at_ms },
            devices,
            chosen,
        })
}

/// What the row of `user` is after Rust decided.
fn expected(user: &User, now_ms: u64, rules: Rules) -> (Status, Choice, u64, u64) {
    let mut overlay = user.overlay;
    match user.chosen {
        Some(Some(chosen)) => {
            overlay.choice = overlay.choice.then(chosen, now_ms);
            if chosen == ManualStatus::Online {
                overlay.touched_at_ms = overlay.touched_at_ms.max(now_ms);
            }
        }
        Some(None) => overlay.choice = Choice::Devices,
        None => {}
    }
    let derived = merge::status(user.devices.iter().map(Into::into), overlay, now_ms, rules);
    let holds_until_ms =
        if derived.holds_until_ms >= NEVER { u64::MAX } else { derived.holds_until_ms };
    let newest_ms = derived.last_activity_at_ms;
    (derived.status, overlay.choice.at(now_ms), newest_ms, holds_until_ms)
}

/// The users of whom a script with these rules says something else than `merge`.
async fn differences(server: &Server, rules_text: &str) -> Vec<String> {
    let client = server.client();
    let script = Script::new("other", &[PRELUDE, rules_text, DECIDE], true);
    let mut runner = TestRunner::new(Config::default());
    let mut differences = Vec::new();
    for now_ms in (0..40).map(|round| 1_764_000_000_000 + round * 61_000 + round % 2 * 123) {
        let rules = Rules {
            away_after_ms: 1_000 * (now_ms / 1_000 % 50 + 1),
            offline_after_ms: 5_000 * (now_ms / 1_000 % 3),
        };
        let cases = prop::collection::vec(users(now_ms), 100);
        let cases = cases.new_tree(&mut runner).unwrap().current();
        let mut args = ["", "log", "PUBLISH", "1", "1", "a#1", ""].map(str::to_owned).to_vec();
        args.extend([now_ms, rules.away_after_ms, rules.offline_after_ms].map(|it| it.to_string()));
        for User { overlay, devices, chosen } in &cases {
            let Overlay { choice, touched_at_ms, remembered_at_ms } = overlay;
            args.push(format!("f:7:{}:{touched_at_ms}:{remembered_at_ms}:-", choice_text(*choice)));
            args.push(wire::encode(devices, &[], "e", (now_ms, rules)));
            let (letter, ends) = chosen.map_or(("", String::new()), wire::choice_args);
            args.push(letter.to_owned());
            args.push(ends);
        }
        let answer = client.run(&script, &["hb:{default}:m"], &args).await.unwrap();
        let answers: Vec<_> = wire::texts(&answer).collect();
        assert_eq!(answers.len(), cases.len(), "{answer:?}");
        for (user, answer) in cases.iter().zip(answers) {
            let Row { shown, overlay, due_ms } = Row::parse(answer);
            let found = (shown, overlay.choice, overlay.remembered_at_ms, due_ms);
            if found != expected(user, now_ms, rules) {
                differences.push(format!("{answer} at {now_ms}: {user:?}"));
            }
        }
    }
    differences
}

#[tokio::test]
async fn the_rules_in_lua_are_those_of_merge() {
    let server = Server::start().await;
    let rules = include_str!("../../lua/rules.lua");
    assert_eq!(differences(&server, rules).await, Vec::<String>::new());
    // The comparison is worth something: small mistakes are found.
    for (right, wrong) in [
        ("elseif gone > now then", "elseif gone >= now then"),
        ("if now < away then", "if now <= away + 2000 then"),
        ("math.max(row.newest, row.touched)", "row.newest"),
        ("row.choice == 'd' and row.before or row.choice", "row.choice"),
        ("* 1000 <= now then", "* 1000 <= now - 2000 then"),
    ] {
        assert_eq!(rules.matches(right).count(), 1, "{right}");
        let found = differences(&server, &rules.replace(right, wrong)).await;
        assert!(!found.is_empty(), "{wrong} is not found");
    }
}

/// Goal: what is written of devices is read back.
#[test]
fn records_are_read_back() {
    let node = Arc::<str>::from("a");
    let device = |active_at_ms, dropped_at_ms| DeviceRecord {
        node: Arc::clone(&node),
        connection: random_connection_id(),
        since_ms: 5,
        active_at_ms,
        dropped_at_ms,
    };
    let devices = vec![device(7, None), device(5, Some(9)), device(5, None)];
    let rules = Rules { away_after_ms: 10, offline_after_ms: 10 };
    let fresh = [devices[0].connection, devices[2].connection];
    let text = wire::encode(&devices, &fresh, "e", (10, rules));
    assert!(text.starts_with("2:online:5:e "), "{text}");
    assert!(text.contains(":7:- "), "something happened on it since: {text}");
    assert!(text.ends_with(":5:+"), "{text}");
    assert_eq!(wire::decode(&text, &node), devices);
    assert_eq!(wire::encode(&[], &[], "e", (10, rules)), "");
    assert_eq!(wire::decode("", &node), []);
    for nonsense in ["x", "1:online:5:e x:y", "f:0", "n:1:x:-:-:0:0:-"] {
        assert_eq!(wire::decode(nonsense, &node), []);
        assert_eq!(Row::parse(nonsense), Row::NONE);
    }
}
