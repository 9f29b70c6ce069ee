//! Asks a node whether it is ready: for images without a shell.
//!
//! Invariants: one question, one connection, a bounded wait.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// How long the answer may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// The first line of an answer is never longer.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Why a node does not count as ready.
#[derive(Debug, thiserror::Error)]
pub enum HealthcheckError {
    /// The text is no URL that can be asked. The operator's fault.
    #[error("`{0}` is not a URL such as http://127.0.0.1:8067/ready")]
    Url(String),
    /// Nobody answers, or not in HTTP.
    #[error("no answer from {url}")]
    Silent {
        /// Who was asked.
        url: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The node says that it is not ready.
    #[error("{url} answered {status}: {body}")]
    NotReady {
        /// Who was asked.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The first bytes of the reasons.
        body: String,
    },
}

/// Where a node that listens on `internal` can be asked from its own machine.
#[must_use]
pub fn ready_url(internal: SocketAddr) -> String {
    let mut address = internal;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("http://{address}/ready")
}

/// Asks `url` and waits at most 3 s.
///
/// # Errors
///
/// [`HealthcheckError`] unless the answer is 200.
///
/// # Cancel safety
///
/// Safe: the connection is closed.
pub async fn healthcheck(url: &str) -> Result<(), HealthcheckError> {
    let (host, path) = split(url).ok_or_else(|| HealthcheckError::Url(url.to_owned()))?;
    let silent = |source| HealthcheckError::Silent { url: url.to_owned(), source };
    let answer = timeout(PATIENCE, ask(&host, path))
        .await
        .unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into()))
        .map_err(silent)?;
    let status = status(&answer).ok_or_else(|| silent(io::ErrorKind::InvalidData.into()))?;
    if status == 200 {
        return Ok(());
    }
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).trim();
    let body = body.chars().take(500).collect();
    Err(HealthcheckError::NotReady { url: url.to_owned(), status, body })
}

/// Host with port, and path, of an `http://` URL. One without a path names the node,
/// which is asked at `/ready`.
fn split(url: &str) -> Option<(String, &str)> {
    let rest = url.strip_prefix("http://")?;
    if rest.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
        return None;
    }
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let host = if has_port { host.to_owned() } else { format!("{host}:80") };
    let path = if path.len() <= 1 { "/ready" } else { path };
    (!host.starts_with(':')).then_some((host, path))
}

async fn ask(host: &str, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(host).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn status(answer: &str) -> Option<u16> {
    let (version, rest) = answer.split_once(' ')?;
    let code = rest.get(..3)?.parse().ok()?;
    version.starts_with("HTTP/1.").then_some(code)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (url, expected) in [
            ("http://127.0.0.1:8067/ready", Some(("127.0.0.1:8067", "/ready"))),
            ("http://[::1]:1", Some(("[::1]:1", "/ready"))),
            ("http://node/", Some(("node:80", "/ready"))),
            ("http://node/a/b", Some(("node:80", "/a/b"))),
            ("https://node/", None),
            ("http://:80/", None),
            ("http://a/ b", None),
            ("node", None),
        ] {
            assert_eq!(split(url), expected.map(|(host, path)| (host.to_owned(), path)), "{url}");
        }
        let url = |address: &str| ready_url(address.parse().unwrap());
        assert_eq!(url("0.0.0.0:8067"), "http://127.0.0.1:8067/ready");
        assert_eq!(url("[::]:8067"), "http://[::1]:8067/ready");
        assert_eq!(url("10.0.0.1:1"), "http://10.0.0.1:1/ready");
    }

    /// Answers one connection with `answer`, then closes or, when it is empty, stays.
    async fn ask_one(answer: &'static str) -> Result<(), HealthcheckError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = ready_url(listener.local_addr().unwrap());
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1_024];
            let length = stream.read(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"GET /ready HTTP/1.1\r\n"));
            if answer.is_empty() {
                return std::future::pending().await;
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
        };
        tokio::select! {
            result = healthcheck(&url) => result,
            () = async { serve.await; std::future::pending().await } => Ok(()),
        }
    }

    #[tokio::test]
    async fn only_200_is_ready() {
        let ready = ask_one("HTTP/1.1 200 OK\r\n\r\n{\"ready\":true}").await;
        assert!(ready.is_ok(), "{ready:?}");
        let reasons = "HTTP/1.1 503 Service Unavailable\r\n\r\n{\"reasons\":[\"draining\"]}";
        let error = ask_one(reasons).await.unwrap_err().to_string();
        assert!(error.contains("answered 503: {\"reasons\":[\"draining\"]}"), "{error}");
        let error = ask_one("220 mail.example\r\n").await.unwrap_err();
        assert!(matches!(error, HealthcheckError::Silent { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn silence_is_not_ready() {
        tokio::time::pause();
        let error = ask_one("").await.unwrap_err();
        assert!(matches!(error, HealthcheckError::Silent { source, .. }
            if source.kind() == io::ErrorKind::TimedOut));
    }
}
