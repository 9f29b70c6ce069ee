//! Sessions in Redis: they begin, are claimed, noted and end.
//!
//! A session record is signed by the node that made it: what somebody else changed in
//! the store is no session.
//!
//! Invariants:
//! - a claim raises the fencing number before its holder sends anything;
//! - a checkpoint counts only for the holder of the claim that it was made under.

use std::sync::Arc;

use bytes::Bytes;
use hmac::{Hmac, Mac as _};
use redis::Pipeline;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::{
    super::{Checkpoint, Claim, Hold, LogError, Opening, Snapshot},
    confirmed::Confirmed,
    context::{Context, arg, millis, nonsense, text, unavailable},
    people,
    replicas::{Confirming, Until},
    reply::Reply,
    scripts::{CLAIM, FORGET, LEAVE, LOOK, OPEN},
};
use crate::{
    clock::random_tag,
    log::{frame, wire},
    model::{
        ConnectionId, Generation, Id, Identity, Memberships, Position, RealmId, Scope,
        SessionRecord, Subject,
    },
};

/// Checkpoints that one command writes.
const NOTED_AT_ONCE: usize = 1_000;

/// Seconds for which the checkpoints of a node outlive it: more than any session.
const NOTES_LIVE_S: usize = 24 * 3_600;

pub(super) async fn open(
    context: &Context,
    identity: &Identity,
    opening: Opening,
    (claims, confirmed): (&Confirming, Option<&Confirmed>),
) -> Result<Snapshot, LogError> {
    let connection = opening.connection;
    let scope = scope_text(&opening.scope);
    let mut own = vec![
        text(connection.as_str()),
        text(identity.user.as_str()),
        text(login(identity)),
        text(&scope),
        millis(context.limits.session_ttl),
        identity.issued_at.map(arg).unwrap_or_default(),
        arg(context.limits.memberships_per_user),
        text(&random_tag().to_string()),
        arg(context.clock.now_us()),
    ];
    own.extend(identity.seeds.iter().map(|topic| Bytes::from(wire::address(topic))));
    // In the order of the claims, and not over what may be an old primary.
    let over = (claims, Until::Written);
    let reply = context.write(&identity.realm, &OPEN, own, over).await?;
    let snapshot = reply.part(1).and_then(|part| people::snapshot(&part));
    let snapshot = snapshot.ok_or_else(|| nonsense("a snapshot"))?;
    // Signed when the place is known where it begins, and before anybody hears of it.
    let base = &snapshot.position;
    let signed = Signed {
        realm: &identity.realm,
        connection,
        user: identity.user.as_str(),
        login: login(identity),
        scope: &scope,
        base: (base.offset, base.tag.0),
    };
    let key = context.limits.session_keys.first();
    let mac = key.and_then(|key| signed.sign(key)).ok_or_else(|| nonsense("a key"))?;
    let key = context.key(&identity.realm, &format!("s:{connection}"));
    let mut command = Pipeline::new();
    command.cmd("HSET").arg(&key).arg("mac").arg(mac);
    // Again: a failover may have lost what the script wrote, and what is left must end.
    command.cmd("PEXPIRE").arg(&key).arg(&millis(context.limits.session_ttl)[..]);
    let written = context.client.change("session", &key, &command, true).await;
    written.map_err(|error| unavailable("session", &error))?;
    // Whoever is told that there is a session finds it after a failover.
    if let Some(confirmed) = confirmed {
        confirmed.ask().await?;
    }
    Ok(snapshot)
}

pub(super) async fn claim(
    context: &Context,
    identity: &Identity,
    connection: ConnectionId,
    claims: &Confirming,
) -> Result<Claim, LogError> {
    let own = vec![
        text(connection.as_str()),
        text(identity.user.as_str()),
        text(login(identity)),
        millis(context.limits.session_ttl),
    ];
    // A claim that a failover undoes would leave two holders with one number.
    let over = (claims, Until::Confirmed);
    let reply = context.write(&identity.realm, &CLAIM, own, over).await?;
    match reply.word() {
        Some("UNKNOWN") => Ok(Claim::Unknown),
        Some("FORBIDDEN") => Ok(Claim::Forbidden),
        Some("STALE") => Ok(Claim::Stale),
        Some("OK") => {
            let snapshot = reply.part(2).and_then(|part| people::snapshot(&part));
            let snapshot = snapshot.ok_or_else(|| nonsense("a snapshot"))?;
            let record =
                reply.part(1).and_then(|part| read(context, &identity.realm, connection, &part));
            match record {
                Some(record) => {
                    Ok(Claim::Granted { record: Box::new(record), snapshot: Box::new(snapshot) })
                }
                None => {
                    tracing::warn!(%connection, "a session record was changed by somebody else");
                    context.metrics.rejected("auth", "session_record");
                    Ok(Claim::Unknown)
                }
            }
        }
        Some(_) | None => Err(nonsense("a claim")),
    }
}

/// Notes places. What is noted is a fact, however old: nobody has to be asked.
pub(super) async fn checkpoint(
    context: &Context,
    realm: &RealmId,
    checkpoints: Vec<Checkpoint>,
) -> Result<(), LogError> {
    let (ended, live): (Vec<_>, Vec<_>) = checkpoints.into_iter().partition(|one| one.ended);
    let key = context.key(realm, &format!("c:{}", context.me));
    for some in live.chunks(NOTED_AT_ONCE) {
        let mut both = Pipeline::new();
        both.cmd("HSET").arg(&key);
        for Checkpoint { connection, seq, cursor, fencing, .. } in some {
            both.arg(connection.as_str()).arg(format!("{seq} {cursor} {fencing}"));
        }
        both.cmd("EXPIRE").arg(&key).arg(NOTES_LIVE_S);
        let written = context.client.change("checkpoint", &key, &both, true).await;
        written.map_err(|error| unavailable("checkpoint", &error))?;
    }
    for some in ended.chunks(NOTED_AT_ONCE) {
        let mut own = vec![millis(context.limits.session_ttl)];
        for Checkpoint { connection, seq, cursor, fencing, .. } in some {
            own.extend([text(connection.as_str()), arg(seq), arg(cursor), arg(fencing)]);
        }
        let written = context.run(realm, &LEAVE, own).await;
        written.map_err(|error| unavailable("checkpoint", &error))?;
    }
    Ok(())
}

pub(super) async fn session(
    context: &Context,
    realm: &RealmId,
    connection: ConnectionId,
) -> Result<Option<(SessionRecord, Memberships)>, LogError> {
    let reply = context.run(realm, &LOOK, [text(connection.as_str())]).await;
    let reply = reply.map_err(|error| unavailable("session", &error))?;
    if reply.word() != Some("OK") {
        return Ok(None);
    }
    let record = reply.part(1).and_then(|part| read(context, realm, connection, &part));
    let watches = reply.part(2).and_then(|part| people::watches(&part));
    Ok(record.zip(watches))
}

pub(super) async fn forget(
    context: &Context,
    realm: &RealmId,
    connection: ConnectionId,
    fencing: Option<u64>,
) -> Result<(), LogError> {
    let own = [text(connection.as_str()), fencing.map(arg).unwrap_or_default()];
    let done = context.run(realm, &FORGET, own).await;
    done.map(drop).map_err(|error| unavailable("session", &error))
}

pub(super) async fn renew(
    context: &Context,
    realm: &RealmId,
    connections: Vec<ConnectionId>,
) -> Result<(), LogError> {
    let ttl = context.limits.session_ttl.as_millis().to_string();
    for some in connections.chunks(NOTED_AT_ONCE) {
        let mut all = Pipeline::new();
        for connection in some {
            all.cmd("PEXPIRE").arg(context.key(realm, &format!("s:{connection}"))).arg(&ttl);
            all.cmd("PEXPIRE").arg(context.key(realm, &format!("sw:{connection}"))).arg(&ttl);
        }
        let head = context.key(realm, "m");
        let done = context.client.change("session", &head, &all, true).await;
        done.map_err(|error| unavailable("session", &error))?;
    }
    Ok(())
}

pub(super) async fn holds(
    context: &Context,
    realm: &RealmId,
    claims: Vec<(ConnectionId, u64)>,
) -> Result<Vec<Hold>, LogError> {
    let mut answers = Vec::with_capacity(claims.len());
    for some in claims.chunks(NOTED_AT_ONCE) {
        let mut all = Pipeline::new();
        for (connection, _) in some {
            all.cmd("HMGET").arg(context.key(realm, &format!("s:{connection}"))).arg("ep").arg("n");
        }
        let reply = context.client.query("session", &context.key(realm, "m"), &all).await;
        let replies = reply.map_err(|error| unavailable("session", &error))?;
        if replies.len() != some.len() {
            return Err(nonsense("sessions"));
        }
        for (known, (_, fencing)) in replies.into_iter().map(Reply::new).zip(some) {
            let is_own = known.text(1) == Some(&context.me);
            answers.push(match known.number(0) {
                Some(known) if known == *fencing && is_own => Hold::Held,
                Some(_) => Hold::Taken,
                None => Hold::Gone,
            });
        }
    }
    Ok(answers)
}

fn login(identity: &Identity) -> &str {
    identity.session.as_ref().map_or("", Id::as_str)
}

fn scope_text(scope: &Scope) -> String {
    match scope {
        Scope::Member => "member".to_owned(),
        Scope::Room(room) => format!("room:{room}"),
        Scope::Bus(subject) => format!("bus:{}", subject_text(subject)),
        Scope::Chat(subject) => format!("chat:{}", subject_text(subject)),
    }
}

/// Roles and profile; a profile is a text for people, and comes last.
fn subject_text(subject: &Subject) -> String {
    let roles: Vec<&str> = subject.roles.iter().map(Id::as_str).collect();
    format!("{}:{}", roles.join(","), subject.profile.as_deref().unwrap_or_default())
}

fn subject(text: &str) -> Option<Arc<Subject>> {
    let (roles, profile) = text.split_once(':')?;
    let roles = roles.split(',').filter(|role| !role.is_empty());
    let roles = roles.map(|role| Id::parse(role).ok()).collect::<Option<_>>()?;
    let profile = (!profile.is_empty()).then(|| Arc::from(profile));
    Some(Arc::new(Subject { roles, profile }))
}

fn scope(text: &str) -> Option<Scope> {
    let Some((kind, rest)) = text.split_once(':') else {
        return (text == "member").then_some(Scope::Member);
    };
    match kind {
        "room" => Some(Scope::Room(Id::parse(rest).ok()?)),
        "bus" => Some(Scope::Bus(subject(rest)?)),
        "chat" => Some(Scope::Chat(subject(rest)?)),
        _ => None,
    }
}

/// What a signature is about.
struct Signed<'a> {
    realm: &'a RealmId,
    connection: ConnectionId,
    user: &'a str,
    login: &'a str,
    scope: &'a str,
    /// Offset and tag of the place where the session begins.
    base: (u64, u64),
}

impl Signed<'_> {
    /// `None` never happens: any key will do.
    fn sign(&self, key: &[u8; 32]) -> Option<String> {
        let Self { realm, connection, user, login, scope, base: (offset, tag) } = self;
        let text = format!("{realm}\n{connection}\n{user}\n{login}\n{scope}\n{offset}\n{tag}");
        let mut mac = <Hmac<Sha256> as hmac::Mac>::new_from_slice(key).ok()?;
        mac.update(text.as_bytes());
        Some(mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// True when one of `keys` has signed it so.
    fn is_signed(&self, keys: &[[u8; 32]], signature: &str) -> bool {
        let mut expected = keys.iter().filter_map(|key| self.sign(key));
        expected.any(|expected| expected.as_bytes().ct_eq(signature.as_bytes()).into())
    }
}

/// A session record, when it is one of ours.
fn read(
    context: &Context,
    realm: &RealmId,
    connection: ConnectionId,
    part: &Reply,
) -> Option<SessionRecord> {
    let scope_text = part.text(0)?;
    let (offset, tag) = (part.number(2)?, part.tag(3)?);
    let (user, login) = (part.text(9)?, part.text(10)?);
    let base = (offset, tag.0);
    let signed = Signed { realm, connection, user, login, scope: scope_text, base };
    if !signed.is_signed(&context.limits.session_keys, part.text(8)?) {
        return None;
    }
    let generation: Generation = frame::generation(part.text(1)?).ok()?;
    Some(SessionRecord {
        connection,
        user: Id::parse(user).ok()?,
        session: if login.is_empty() { None } else { Some(Id::parse(login).ok()?) },
        scope: scope(scope_text)?,
        base: Position { generation, offset, tag },
        seq: part.number(6)?,
        cursor: part.number(7)?,
        fencing: part.number(4)?,
        owner: Arc::from(part.text(5)?),
    })
}
