//! Opens one connection to one server.
//!
//! Invariants: a connection that is returned is logged in, and its server said that
//! it is a primary; it ends when its last clone is dropped.

use std::time::Duration;

use redis::{
    AsyncConnectionConfig, Client, Cmd, Pipeline, PushInfo, Value,
    aio::{MultiplexedConnection, SendError},
};
use tokio::time::timeout;

use super::{
    error::RedisError,
    reply,
    settings::{Address, COMMAND_TIMEOUT, CONNECT_TIMEOUT, Peer, Settings},
};

/// What to do with messages that the server sends unasked.
pub(super) type Push = Box<dyn Fn(PushInfo) + Send + Sync>;

/// A connection to the primary at `address`; `push` hears what comes unasked, and
/// the end of the connection.
pub(super) async fn open(
    settings: &Settings,
    address: &Address,
    push: Push,
) -> Result<MultiplexedConnection, RedisError> {
    let config = config().set_push_sender(move |info| {
        push(info);
        Ok::<(), SendError>(())
    });
    let client = Client::open(settings.connection(address, Peer::Server));
    let client = client.map_err(|error| RedisError::settings("url", error.to_string()))?;
    let opening = async {
        let connection = client.get_multiplexed_async_connection_with_config(&config).await;
        let mut connection = connection.map_err(not_connected)?;
        require_primary(&mut connection).await?;
        Ok(connection)
    };
    let opened = timeout(CONNECT_TIMEOUT, opening).await;
    opened.unwrap_or_else(|_| Err(RedisError::unavailable("no connection within 1 s")))
}

/// A connection for one question to whoever is at `address`.
pub(super) async fn ask(
    settings: &Settings,
    address: &Address,
    peer: Peer,
    question: &Cmd,
) -> Result<Value, RedisError> {
    let client = Client::open(settings.connection(address, peer));
    let client = client.map_err(|error| RedisError::settings("url", error.to_string()))?;
    let asking = async {
        let connection = client.get_multiplexed_async_connection_with_config(&config()).await;
        let mut connection = connection.map_err(not_connected)?;
        send(&mut connection, question).await.map_err(RedisError::of_reading)
    };
    let answer = timeout(CONNECT_TIMEOUT, asking).await;
    answer.unwrap_or_else(|_| Err(RedisError::unavailable("no answer within 1 s")))
}

/// The timeouts of every connection; those of answers belong to the requests.
pub(super) fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(None)
}

/// Sends one command; a refusal is an error.
pub(super) async fn send(
    connection: &mut MultiplexedConnection,
    command: &Cmd,
) -> Result<Value, RedisError> {
    let answer = timeout(COMMAND_TIMEOUT, connection.send_packed_command(command)).await;
    let answer = answer.map_err(|_| RedisError::late())?;
    reply::accepted(answer.map_err(RedisError::sent)?)
}

/// Sends several commands at once and waits so long for the last answer. Refusals are
/// among the answers.
pub(super) async fn send_all(
    connection: &mut MultiplexedConnection,
    commands: &Pipeline,
    longest: Duration,
) -> Result<Vec<Value>, RedisError> {
    let answers = connection.send_packed_commands(commands, 0, commands.len());
    let answers = timeout(longest, answers).await.map_err(|_| RedisError::late())?;
    answers.map_err(RedisError::sent)
}

/// Asks the server for its role. Who is not allowed to ask must trust the topology.
pub(super) async fn require_primary(
    connection: &mut MultiplexedConnection,
) -> Result<(), RedisError> {
    let answer = match send(connection, &redis::cmd("ROLE")).await {
        Ok(answer) => answer,
        Err(RedisError::Server { code, .. }) if code == "NOPERM" || code == "ERR" => return Ok(()),
        Err(error) => return Err(error.of_reading()),
    };
    match reply::list(&answer).first().and_then(reply::text) {
        Some("master") => Ok(()),
        _ => Err(RedisError::no_primary()),
    }
}

/// What an error of the library means while a connection is made.
pub(super) fn not_connected(error: redis::RedisError) -> RedisError {
    let refuses_login = matches!(error.code(), Some("WRONGPASS" | "NOAUTH" | "NOPERM"))
        || error.kind() == redis::ErrorKind::AuthenticationFailed;
    let reason = if refuses_login { "the login is refused" } else { "no connection" };
    RedisError::unsent(reason, error)
}
