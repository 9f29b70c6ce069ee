//! Private messages: the text `<name> <words>` goes to that connection alone.
//!
//! `cargo run --example send_to_one -- 127.0.0.1:9001`; each client is first told
//! its own name.

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::net::SocketAddr;

use hubbub::embed::{Connection, ConnectionId, Handler, Message, SendError, Server};

struct Post;

impl Handler for Post {
    async fn on_connect(&self, connection: &Connection) {
        connection.send(format!("you are {}", connection.id())).await.ok();
    }

    async fn on_message(&self, connection: &Connection, message: Message) {
        let Message::Text(text) = message else {
            connection.server().close(connection.id(), 4000, "words only").await.ok();
            return;
        };
        let sent =
            match text.split_once(' ').map(|(name, words)| (ConnectionId::parse(name), words)) {
                Some((Ok(to), words)) => deliver(connection, to, words).await,
                Some((Err(_), _)) | None => Err(SendError::NotConnected),
            };
        if let Err(error) = sent {
            connection.send(format!("not sent: {error}")).await.ok();
        }
    }
}

async fn deliver(from: &Connection, to: ConnectionId, words: &str) -> Result<(), SendError> {
    from.server().send_to(to, format!("{} says {words}", from.id())).await
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    let server = Server::bind(address.parse::<SocketAddr>()?, Post).await?;
    println!("listening on ws://{}/", server.address());
    server.run_until_signal().await?;
    Ok(())
}
