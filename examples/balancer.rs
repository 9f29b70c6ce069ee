//! A tiny TCP balancer for a cluster on one machine: each connection goes to the next
//! node that accepts it.
//!
//! `cargo run --example balancer -- 127.0.0.1:8065 127.0.0.1:8111 127.0.0.1:8121 …`

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

/// A node that does not accept so soon is passed over.
const CONNECT: Duration = Duration::from_secs(1);

static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Connects to the next node in turn, or to the first after it that accepts.
async fn connect(nodes: &[SocketAddr]) -> Option<TcpStream> {
    let first = NEXT.fetch_add(1, Ordering::Relaxed);
    for node in nodes.iter().cycle().skip(first % nodes.len().max(1)).take(nodes.len()) {
        if let Ok(Ok(stream)) = timeout(CONNECT, TcpStream::connect(node)).await {
            return Some(stream);
        }
    }
    None
}

async fn carry(mut client: TcpStream, nodes: Vec<SocketAddr>) {
    // Without a node the client sees its connection end, and comes again.
    let Some(mut node) = connect(&nodes).await else { return };
    client.set_nodelay(true).ok();
    node.set_nodelay(true).ok();
    copy_bidirectional(&mut client, &mut node).await.ok();
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let addresses: Vec<SocketAddr> =
        std::env::args().skip(1).map(|text| text.parse()).collect::<Result<_, _>>()?;
    let Some((listen, nodes)) = addresses.split_first().filter(|(_, nodes)| !nodes.is_empty())
    else {
        anyhow::bail!("usage: balancer LISTEN NODE [NODE…]");
    };
    let listener = TcpListener::bind(listen).await?;
    println!("balancer http://{}", listener.local_addr()?);
    let mut clients = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await?;
        clients.spawn(carry(client, nodes.to_vec()));
        while clients.try_join_next().is_some() {}
    }
}
