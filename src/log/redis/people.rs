//! Memberships and revocations, as scripts tell them.
//!
//! Invariants: what is read is complete and well-formed, or an error.

use redis::{Pipeline, Value};

use super::{
    super::{LogError, Snapshot},
    context::{Context, nonsense, text, unavailable},
    reply::{Reply, as_text},
    scripts::MEMBERSHIPS,
};
use crate::{
    log::{frame, subscription, wire},
    model::{Id, Identity, Interval, Memberships, Position, RealmId, Revocations, Topic, UserId},
};

/// The answer of `snapshot.lua`.
pub(super) fn snapshot(part: &Reply) -> Option<Snapshot> {
    Some(Snapshot {
        position: part.position(0)?,
        oldest: part.number(3)?,
        memberships: memberships(&part.part(4)?)?,
        watches: watches(&part.part(5)?)?,
        revocations: Revocations {
            everyone_at_ms: moment(part.text(6)?)?,
            user_at_ms: moment(part.text(7)?)?,
            session_revoked: part.text(8)? == "1",
        },
    })
}

/// A moment in milliseconds since 1970; none for an empty text.
#[expect(clippy::option_option, reason = "malformed, or never")]
fn moment(text: &str) -> Option<Option<u64>> {
    if text.is_empty() { Some(None) } else { Some(Some(frame::number(text).ok()?)) }
}

/// Rows "letter:id" -> "from:to,…" of one user.
fn memberships(rows: &Reply) -> Option<Memberships> {
    let mut all = Memberships::default();
    for (name, stretches) in rows.pairs()? {
        // Two of them say how many there are, and of which life.
        if name != "#" && name != "@" {
            restore(&mut all, &wire::topic(name)?, stretches)?;
        }
    }
    Some(all)
}

/// Rows of what one connection subscribed to -> "from:to,…".
pub(super) fn watches(rows: &Reply) -> Option<Memberships> {
    let mut all = Memberships::default();
    for (name, stretches) in rows.pairs()? {
        restore(&mut all, &subscription::subscription(name)?, stretches)?;
    }
    Some(all)
}

fn restore(all: &mut Memberships, topic: &Topic, stretches: &str) -> Option<()> {
    for stretch in stretches.split(',') {
        let (from, to) = stretch.split_once(':')?;
        let (from, to) = (frame::number(from).ok()?, frame::number(to).ok()?);
        all.restore(topic.clone(), Interval { from, to });
    }
    Some(())
}

async fn ask(
    context: &Context,
    realm: &RealmId,
    user: &str,
    login: &str,
) -> Result<Snapshot, LogError> {
    let reply = context.run(realm, &MEMBERSHIPS, [text(user), text(login)]).await;
    let reply = reply.map_err(|error| unavailable("memberships", &error))?;
    reply.part(1).and_then(|part| snapshot(&part)).ok_or_else(|| nonsense("memberships"))
}

pub(super) async fn of_user(
    context: &Context,
    realm: &RealmId,
    user: &UserId,
) -> Result<(Position, Memberships), LogError> {
    let snapshot = ask(context, realm, user.as_str(), "").await?;
    Ok((snapshot.position, snapshot.memberships))
}

pub(super) async fn revocations(
    context: &Context,
    identity: &Identity,
) -> Result<Revocations, LogError> {
    let login = identity.session.as_ref().map_or("", Id::as_str);
    let snapshot = ask(context, &identity.realm, identity.user.as_str(), login).await?;
    Ok(snapshot.revocations)
}

pub(super) async fn members(
    context: &Context,
    realm: &RealmId,
    topic: &Topic,
) -> Result<Vec<UserId>, LogError> {
    let address = wire::address(topic);
    let (letter, id) = address.split_at(2);
    let hex: String = id.bytes().map(|byte| format!("{byte:02x}")).collect();
    let key = context.key(realm, &format!("g:{letter}{hex}"));
    let mut command = Pipeline::new();
    command.cmd("ZRANGE").arg(&key).arg("0").arg("-1");
    let reply = context.client.query("members", &key, &command).await;
    let mut replies = reply.map_err(|error| unavailable("members", &error))?;
    let reply = Reply::new(replies.pop().unwrap_or(Value::Nil));
    let users = reply.parts().ok_or_else(|| nonsense("members"))?;
    let user = |value| as_text(value).and_then(|text| Id::parse(text).ok());
    users.iter().map(user).collect::<Option<_>>().ok_or_else(|| nonsense("members"))
}
