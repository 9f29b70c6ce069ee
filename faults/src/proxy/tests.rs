//! A connection through a proxy does what the proxy is told.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::*;

/// A proxy for an echo, and a connection through it.
async fn echo() -> (Proxy, TcpStream, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut open = JoinSet::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            open.spawn(async move {
                let (mut read, mut write) = socket.split();
                tokio::io::copy(&mut read, &mut write).await.ok();
            });
        }
    });
    let proxy = Proxy::start(target).await.unwrap();
    let socket = TcpStream::connect(proxy.address).await.unwrap();
    (proxy, socket, tasks)
}

async fn exchange(socket: &mut TcpStream, text: &str) -> io::Result<String> {
    socket.write_all(text.as_bytes()).await?;
    let mut back = vec![0; text.len()];
    socket.read_exact(&mut back).await?;
    Ok(String::from_utf8(back).unwrap())
}

#[tokio::test]
async fn what_flows_is_stalled_and_flows_on() {
    let (proxy, mut socket, _echo) = echo().await;
    assert_eq!(exchange(&mut socket, "one").await.unwrap(), "one");
    proxy.rule(|rules| rules.stall_down = true);
    let stalled = timeout(Duration::from_millis(200), exchange(&mut socket, "two")).await;
    assert!(stalled.is_err(), "{stalled:?}");
    proxy.heal();
    let mut back = [0; 3];
    socket.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"two");
}

#[tokio::test]
async fn a_cut_is_a_reset_in_the_middle() {
    let (proxy, mut socket, _echo) = echo().await;
    exchange(&mut socket, "warm").await.unwrap();
    // Four bytes go up; two of them come back.
    assert_eq!(proxy.cut_some(1.0, 6..7), 1);
    socket.write_all(b"abcd").await.unwrap();
    let mut back = Vec::new();
    let error = socket.read_to_end(&mut back).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert!(back.len() <= 2, "{back:?}");
    assert_eq!(proxy.cuts(), 1);
}

#[tokio::test]
async fn an_answer_gets_lost_after_its_request_arrived() {
    let (proxy, mut socket, _echo) = echo().await;
    proxy.lose_answers("PUBLISH", 1);
    assert_eq!(exchange(&mut socket, "GET").await.unwrap(), "GET");
    assert!(exchange(&mut socket, "PUBLISH x").await.is_err());
    assert_eq!(proxy.lost(), 1);
    let mut again = TcpStream::connect(proxy.address).await.unwrap();
    assert_eq!(exchange(&mut again, "PUBLISH x").await.unwrap(), "PUBLISH x");
}

#[tokio::test]
async fn new_connections_are_refused() {
    let (proxy, mut socket, _echo) = echo().await;
    exchange(&mut socket, "warm").await.unwrap();
    proxy.rule(|rules| rules.refuse = true);
    let mut second = TcpStream::connect(proxy.address).await.unwrap();
    assert!(exchange(&mut second, "x").await.is_err());
    assert_eq!(exchange(&mut socket, "still").await.unwrap(), "still");
}
