//! A chat in a few lines: what one says, everybody hears.
//!
//! `cargo run --example echo_all -- 127.0.0.1:9000`, then open `ws://127.0.0.1:9000/`
//! in two tabs.

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::net::SocketAddr;

use hubbub::embed::{Connection, Handler, Message, Server};

struct Chat;

impl Handler for Chat {
    async fn on_connect(&self, connection: &Connection) {
        let hello = format!("{} came", connection.id());
        connection.server().send_all(hello).await.ok();
    }

    async fn on_message(&self, connection: &Connection, message: Message) {
        // A message that is too long, or a server that stops: the client is told.
        if let Err(error) = connection.server().send_all(message).await {
            connection.send(format!("not sent: {error}")).await.ok();
        }
    }

    async fn on_close(&self, connection: &Connection, code: u16) {
        let goodbye = format!("{} left ({code})", connection.id());
        connection.server().send_all(goodbye).await.ok();
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9000".to_owned());
    let server = Server::bind(address.parse::<SocketAddr>()?, Chat).await?;
    println!("listening on ws://{}/", server.address());
    server.run_until_signal().await?;
    Ok(())
}
