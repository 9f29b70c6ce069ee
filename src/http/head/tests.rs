//! Goal: a head has one reading or none.
//!
//! Method: tables of heads in and refusals out; every cut of a good head asks for
//! more, and none is refused.

use super::*;

const LIMITS: HeadLimits = HeadLimits { bytes: 1024, headers: 8, url_bytes: 64 };

fn read(head: &str) -> Result<Framing, u16> {
    let end = find_end(head.as_bytes(), 0, LIMITS).map_err(|refusal| refusal.status)?;
    let end = end.expect("the head is complete");
    inspect(&head.as_bytes()[..end], LIMITS).map_err(|refusal| refusal.status)
}

fn with(lines: &str) -> Result<Framing, u16> {
    read(&format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"))
}

#[test]
fn lengths_have_one_reading() {
    assert_eq!(with(""), Ok(Framing::Length(0)));
    assert_eq!(with("Content-Length: 5\r\n"), Ok(Framing::Length(5)));
    assert_eq!(with("transfer-encoding: Chunked\r\n"), Ok(Framing::Chunked));
    for ambiguous in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5 ,5\r\n",
        "Content-Length: -1\r\n",
        "Content-Length:\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: identity\r\n",
    ] {
        assert_eq!(with(ambiguous), Err(400), "{ambiguous:?}");
    }
}

#[test]
fn malformed_lines_are_refused() {
    for line in [
        "No-Colon\r\n",
        "Space : before\r\n",
        " Folded: line\r\n",
        "A: b\r\n folded\r\n",
        "Nul: \0\r\n",
        "Non-Ascii: \u{e9}\r\n",
        ": nameless\r\n",
        "A: b\rc\r\n",
        "A: b\nC: d\r\n",
        "Host: b\r\n",
        "Bad\u{7f}: b\r\n",
    ] {
        assert_eq!(with(line), Err(400), "{line:?}");
    }
}

#[test]
fn request_lines_are_strict() {
    let get = |line: &str| read(&format!("{line}\r\nHost: a\r\n\r\n"));
    assert_eq!(get("GET / HTTP/1.1"), Ok(Framing::Length(0)));
    assert_eq!(get("GET http://a/ HTTP/1.1"), Ok(Framing::Length(0)));
    assert_eq!(get("OPTIONS * HTTP/1.1"), Ok(Framing::Length(0)));
    for (line, status) in [
        ("GET  / HTTP/1.1", 400),
        ("GET / HTTP/1.1 ", 400),
        ("GET /", 400),
        ("get / HTTP/1.1", 400),
        ("GET \u{e9} HTTP/1.1", 400),
        ("GET a HTTP/1.1", 400),
        ("GET / FTP/1.1", 400),
        ("GET / HTTP/2.0", 505),
        ("PRI * HTTP/2.0", 505),
        ("CONNECT a:1 HTTP/1.1", 405),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 2", 400),
        ("\u{16}\u{3}\u{1}", 400),
    ] {
        assert_eq!(get(line), Err(status), "{line:?}");
    }
    assert_eq!(get(&format!("GET /{} HTTP/1.1", "a".repeat(64))), Err(414));
    assert_eq!(get(&format!("GET /{} HTTP/1.1", "a".repeat(63))), Ok(Framing::Length(0)));
}

#[test]
fn hosts_are_required_once_and_valid() {
    assert_eq!(read("GET / HTTP/1.1\r\n\r\n"), Err(400));
    assert_eq!(read("GET / HTTP/1.0\r\n\r\n"), Ok(Framing::Length(0)));
    assert_eq!(read("GET / HTTP/1.1\r\nHost:\r\n\r\n"), Err(400));
    assert_eq!(read("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), Err(400));
    assert_eq!(read("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"), Ok(Framing::Length(0)));
}

#[test]
fn upgrades_have_no_body_and_need_http_11() {
    let upgrade = "Upgrade: h2c, WebSocket\r\n";
    assert_eq!(with(upgrade), Ok(Framing::Upgrade));
    assert_eq!(with(&format!("{upgrade}Content-Length: 0\r\n")), Ok(Framing::Upgrade));
    assert_eq!(with(&format!("{upgrade}Content-Length: 1\r\n")), Err(400));
    assert_eq!(with(&format!("{upgrade}Transfer-Encoding: chunked\r\n")), Err(400));
    assert_eq!(read(&format!("GET / HTTP/1.0\r\n{upgrade}\r\n")), Err(505));
    assert_eq!(with("Upgrade: h2c\r\n"), Ok(Framing::Length(0)));
}

#[test]
fn sizes_are_capped_while_bytes_arrive() {
    let long = format!("GET /{}", "a".repeat(200));
    assert_eq!(find_end(long.as_bytes(), 0, LIMITS).map_err(|refusal| refusal.status), Err(414));
    let many = format!("GET / HTTP/1.1\r\nA: {}", "a".repeat(1024));
    assert_eq!(find_end(many.as_bytes(), 0, LIMITS).map_err(|refusal| refusal.status), Err(431));
    assert_eq!(with(&"A: b\r\n".repeat(7)), Ok(Framing::Length(0)));
    assert_eq!(with(&"A: b\r\n".repeat(8)), Err(431));
    assert_eq!(find_end(b"\n", 0, LIMITS).map_err(|refusal| refusal.status), Err(400));
}

#[test]
fn every_cut_of_a_good_head_asks_for_more() {
    let head = b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\nframes";
    let whole = head.len() - "frames".len();
    for cut in 0..head.len() {
        for scanned in 0..=cut {
            let end = find_end(&head[..cut], scanned, LIMITS).unwrap();
            let expected = (cut >= whole && scanned < whole + 3).then_some(whole);
            if scanned < whole {
                assert_eq!(end, expected, "cut {cut}, scanned {scanned}");
            }
        }
    }
}
