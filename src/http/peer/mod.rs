//! Who is at the other end: the TCP peer, or the client that a trusted proxy names.
//!
//! Invariants: what a peer says about addresses counts only when the peer is a
//! trusted proxy; of a list of addresses the last untrusted one counts, because
//! the ones before it are hearsay.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use hyper::HeaderMap;
use ipnet::IpNet;
use tokio::{io::AsyncReadExt as _, net::TcpStream};

#[cfg(test)]
mod tests;

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its address; the client's when a trusted proxy sent a PROXY header.
    pub address: SocketAddr,
    /// True when the connection is encrypted by this process.
    pub tls: bool,
}

/// True when `address` is one of `proxies`.
#[must_use]
pub(super) fn is_trusted(address: IpAddr, proxies: &[IpNet]) -> bool {
    let address = address.to_canonical();
    proxies.iter().any(|net| net.contains(&address))
}

impl Peer {
    /// The address that limits count: the client's.
    #[must_use]
    pub fn client(&self, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
        let mut client = self.address.ip().to_canonical();
        let lines: Vec<&str> = headers
            .get_all("x-forwarded-for")
            .iter()
            .filter_map(|line| line.to_str().ok())
            .collect();
        for hop in lines.iter().flat_map(|line| line.split(',')).rev() {
            if !is_trusted(client, proxies) {
                break;
            }
            // What can't be read can't be believed; the proxy itself counts then.
            let Some(address) = address_of(hop.trim()) else { break };
            client = address.to_canonical();
        }
        client
    }
}

/// Reads `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]` and `[::1]:80`.
fn address_of(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let socket = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare.parse().ok().or_else(socket)
}

const V1: &[u8] = b"PROXY ";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Longest line of version 1, its end included.
const V1_BYTES_MAX: usize = 107;
/// Longest block of addresses that is read in version 2.
const V2_BYTES_MAX: usize = 512;
/// How often a half sent signature is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Takes a PROXY header (version 1 or 2) off the front of `socket`, when there is
/// one, and returns the address that it names. Call it only for trusted proxies.
///
/// # Errors
///
/// When the header is malformed, or the peer went away.
///
/// # Cancel safety
///
/// Dropping the future may leave half a header taken: close the socket then.
pub(super) async fn take_proxy_header(socket: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let signature = loop {
        let mut start = [0; V2.len()];
        let count = socket.peek(&mut start).await?;
        let seen = start.get(..count).unwrap_or_default();
        let candidates = [V1, V2];
        if let Some(whole) = candidates.into_iter().find(|signature| seen.starts_with(signature)) {
            break whole;
        }
        if count == 0 || !candidates.iter().any(|signature| signature.starts_with(seen)) {
            return Ok(None);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    };
    if signature == V1 { take_v1(socket).await } else { take_v2(socket).await }
}

async fn take_v1(socket: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut line = Vec::with_capacity(V1_BYTES_MAX);
    while !line.ends_with(b"\r\n") {
        if line.len() == V1_BYTES_MAX {
            return Err(malformed());
        }
        line.push(socket.read_u8().await?);
    }
    let line = std::str::from_utf8(&line).map_err(|_| malformed())?;
    let words: Vec<&str> = line.trim_end().split(' ').collect();
    match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => Ok(None),
        ["PROXY", "TCP4" | "TCP6", source, _, port, _] => {
            let address = source.parse().map_err(|_| malformed())?;
            let port = port.parse().map_err(|_| malformed())?;
            Ok(Some(SocketAddr::new(address, port)))
        }
        _ => Err(malformed()),
    }
}

async fn take_v2(socket: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut fixed = [0; 16];
    socket.read_exact(&mut fixed).await?;
    let [.., command, family, high, low] = fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > V2_BYTES_MAX || command >> 4 != 2 {
        return Err(malformed());
    }
    let mut block = vec![0; length];
    socket.read_exact(&mut block).await?;
    // LOCAL: the proxy asks for itself, as a health check does.
    if command & 0x0f == 0 {
        return Ok(None);
    }
    match family >> 4 {
        1 => {
            let (source, rest) = block.split_first_chunk::<4>().ok_or_else(malformed)?;
            let port = rest.get(4..6).ok_or_else(malformed)?;
            Ok(Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::from(*source)), port_of(port))))
        }
        2 => {
            let (source, rest) = block.split_first_chunk::<16>().ok_or_else(malformed)?;
            let port = rest.get(16..18).ok_or_else(malformed)?;
            Ok(Some(SocketAddr::new(IpAddr::V6(Ipv6Addr::from(*source)), port_of(port))))
        }
        _ => Ok(None),
    }
}

fn port_of(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |port, byte| port << 8 | u16::from(*byte))
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "malformed PROXY header")
}
