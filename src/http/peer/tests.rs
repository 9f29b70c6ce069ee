//! Goal: only trusted proxies speak for others.
//!
//! Method: tables of headers; PROXY headers over a real socket pair.

use tokio::{io::AsyncWriteExt as _, net::TcpListener};

use super::*;

fn client(peer: &str, forwarded: &[&str]) -> String {
    let proxies = ["10.0.0.0/8".parse().unwrap()];
    let mut headers = HeaderMap::new();
    for line in forwarded {
        headers.append("x-forwarded-for", line.parse().unwrap());
    }
    let peer = Peer { address: peer.parse().unwrap(), tls: false };
    peer.client(&headers, &proxies).to_string()
}

#[test]
fn the_last_untrusted_address_counts() {
    assert_eq!(client("1.1.1.1:5", &["9.9.9.9"]), "1.1.1.1");
    assert_eq!(client("10.0.0.1:5", &[]), "10.0.0.1");
    assert_eq!(client("10.0.0.1:5", &["9.9.9.9"]), "9.9.9.9");
    assert_eq!(client("10.0.0.1:5", &["8.8.8.8, 9.9.9.9"]), "9.9.9.9");
    assert_eq!(client("10.0.0.1:5", &["8.8.8.8", "9.9.9.9, 10.2.2.2"]), "9.9.9.9");
    assert_eq!(client("10.0.0.1:5", &["junk"]), "10.0.0.1");
    assert_eq!(client("10.0.0.1:5", &["[2001:db8::1]:443"]), "2001:db8::1");
    assert_eq!(client("[::ffff:10.0.0.1]:5", &["9.9.9.9:80"]), "9.9.9.9");
}

async fn taken(bytes: &[u8]) -> (Result<Option<String>, io::ErrorKind>, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut sender = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut socket, _) = listener.accept().await.unwrap();
    sender.write_all(bytes).await.unwrap();
    drop(sender);
    let found = take_proxy_header(&mut socket).await;
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).await.unwrap();
    (found.map(|found| found.map(|at| at.to_string())).map_err(|error| error.kind()), rest)
}

#[tokio::test]
async fn proxy_headers_are_taken_off_whole() {
    let found = taken(b"PROXY TCP4 9.9.9.9 5.6.7.8 1234 80\r\nGET").await;
    assert_eq!(found, (Ok(Some("9.9.9.9:1234".to_owned())), b"GET".to_vec()));
    let found = taken(b"PROXY UNKNOWN\r\nGET").await;
    assert_eq!(found, (Ok(None), b"GET".to_vec()));
    let mut second = V2.to_vec();
    second.extend([0x21, 0x11, 0, 12, 9, 9, 9, 9, 5, 6, 7, 8, 0x04, 0xd2, 0, 80]);
    second.extend(b"GET");
    let found = taken(&second).await;
    assert_eq!(found, (Ok(Some("9.9.9.9:1234".to_owned())), b"GET".to_vec()));
}

#[tokio::test]
async fn other_starts_are_left_alone_and_broken_headers_end_it() {
    assert_eq!(taken(b"POST / HTTP/1.1").await, (Ok(None), b"POST / HTTP/1.1".to_vec()));
    assert_eq!(taken(b"").await, (Ok(None), Vec::new()));
    assert_eq!(taken(b"PROXY TCP4 x y 1 2\r\n").await.0, Err(io::ErrorKind::InvalidData));
    let endless = [b"PROXY ".as_slice(), &[b'x'; 200]].concat();
    assert_eq!(taken(&endless).await.0, Err(io::ErrorKind::InvalidData));
}
