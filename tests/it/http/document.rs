//! Goal: `docs/server-api.md` and the OpenAPI document describe the calls that exist,
//! and every example works as printed.
//!
//! Method: run each `curl` of the document with `sh` against a node, in order, and
//! compare the shape of its answer with the JSON below it.

use std::{collections::BTreeSet, fmt::Write as _};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    time::timeout,
};

use super::{
    client::{KEY, Server, bearer, production},
    raw::{PATIENCE, UPGRADE, read_until},
};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/server-api.md");
const MADE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/server-api.md");

/// One call of the document: its title, what to run, what comes out.
struct Section<'text> {
    title: &'text str,
    text: &'text str,
}

impl<'text> Section<'text> {
    fn all(document: &'text str) -> Vec<Self> {
        let parts = document.split("\n### ").skip(1);
        let section = |text: &'text str| {
            let text = text.split("\n## ").next().unwrap_or(text);
            Self { title: text.lines().next().unwrap_or_default(), text }
        };
        parts.map(section).collect()
    }

    fn block(&self, language: &str) -> Option<&'text str> {
        let (_, rest) = self.text.split_once(&format!("```{language}\n"))?;
        rest.split("\n```").next()
    }
}

/// `METHOD path` of every operation of the OpenAPI document.
fn operations() -> BTreeSet<String> {
    let document: Value = serde_json::to_value(hubbub::http::openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let of = |(path, item): (&String, &Value)| -> Vec<String> {
        let methods = item.as_object().unwrap().keys();
        methods.map(|method| format!("{} {path}", method.to_uppercase())).collect()
    };
    paths.iter().flat_map(of).collect()
}

#[test]
fn every_call_has_its_section() {
    let document = std::fs::read_to_string(FILE).unwrap();
    let titles: BTreeSet<String> =
        Section::all(&document).iter().map(|section| section.title.to_owned()).collect();
    let probes = ["GET /live", "GET /ready", "GET /metrics", "POST /drain"].map(str::to_owned);
    let calls: BTreeSet<String> = operations().into_iter().chain(probes).collect();
    assert_eq!(titles, calls);
}

#[test]
fn the_openapi_document_is_31_and_every_call_can_fail_by_key() {
    let document: Value = serde_json::to_value(hubbub::http::openapi()).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert_eq!(document["security"][0]["key"], json!([]));
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, call) in item.as_object().unwrap() {
            let responses = call["responses"].as_object().unwrap();
            for status in ["200", "400", "401", "403", "414", "431", "503"] {
                assert!(responses.contains_key(status), "{method} {path} lacks {status}");
            }
            assert!(call["summary"].is_string(), "{method} {path} lacks a summary");
        }
    }
}

/// Every `$ref` of a document.
fn references(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(members) => {
            let own = members.get("$ref").and_then(Value::as_str).map(str::to_owned);
            members.values().flat_map(references).chain(own).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => BTreeSet::new(),
    }
}

#[test]
fn every_reference_of_the_openapi_document_leads_somewhere() {
    let document: Value = serde_json::to_value(hubbub::http::openapi()).unwrap();
    let references = references(&document);
    assert!(references.len() > 10, "{references:?}");
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

/// Opens a socket as `user` and returns it with its connection's id.
async fn connect(server: &Server, user: &str) -> (TcpStream, String) {
    let mut socket = TcpStream::connect(server.public).await.unwrap();
    let head = format!(
        "GET /api/v4/websocket HTTP/1.1\r\nHost: {}\r\n{UPGRADE}{}\r\n",
        server.public,
        bearer(&server.token(user))
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    read_until(&mut socket, "\r\n\r\n").await;
    assert_eq!(socket.read_u8().await.unwrap(), 0x81, "hello is one text frame");
    let length = match socket.read_u8().await.unwrap() {
        126 => usize::from(socket.read_u16().await.unwrap()),
        short => usize::from(short),
    };
    let mut hello = vec![0; length];
    socket.read_exact(&mut hello).await.unwrap();
    let hello: Value = serde_json::from_slice(&hello).unwrap();
    let id = hello["data"]["connection_id"].as_str().unwrap().to_owned();
    (socket, id)
}

/// What two answers have in common: names and kinds, not values.
fn shape(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::String(_) => "string".to_owned(),
        Value::Array(items) => {
            let shapes: Vec<String> = items.iter().map(shape).collect();
            format!("[{}]", shapes.join(","))
        }
        Value::Object(members) => {
            let shapes: Vec<String> =
                members.iter().map(|(name, value)| format!("{name}:{}", shape(value))).collect();
            format!("{{{}}}", shapes.join(","))
        }
    }
}

#[tokio::test]
async fn every_example_works_as_printed() {
    if Command::new("curl").arg("--version").output().await.is_err() {
        println!("skipped: curl is not installed (Debian package curl)");
        return;
    }
    let server = production(|config| config.shutdown.ready_delay = std::time::Duration::MAX).await;
    let (_socket, connection) = connect(&server, "alice").await;
    // The first record says that alice came; the examples begin behind it.
    let settled = async { while server.get("/api/v1/log").await.json()["records"] == json!([]) {} };
    timeout(PATIENCE, settled).await.expect("the status of alice is published");
    let document = std::fs::read_to_string(FILE).unwrap();
    let mut made = document.clone();
    let mut problems = String::new();
    for section in Section::all(&document) {
        let script = section.block("sh").unwrap_or_else(|| panic!("{} has no curl", section.title));
        let output = Command::new("sh")
            .args(["-c", script])
            .env("HUBBUB", format!("http://{}", server.internal))
            .env("KEY", KEY)
            .env("CONNECTION", &connection)
            .env("NO_PROXY", "*")
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", section.title);
        if output.stdout.is_empty() {
            continue;
        }
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        let printed = section.block("json");
        let known = printed.and_then(|text| serde_json::from_str::<Value>(text).ok());
        if known.as_ref().map(shape) != Some(shape(&answer)) {
            writeln!(problems, "{}: answered {answer}", section.title).unwrap();
        }
        let pretty = serde_json::to_string_pretty(&answer).unwrap();
        let updated = match printed {
            Some(old) => section.text.replace(old, &pretty),
            None => section.text.replace(
                &format!("{script}\n```\n"),
                &format!("{script}\n```\n\n```json\n{pretty}\n```\n"),
            ),
        };
        made = made.replace(section.text, &updated);
    }
    if !problems.is_empty() {
        std::fs::write(MADE, made).unwrap();
        panic!("cp target/server-api.md docs/server-api.md after a look at:\n{problems}");
    }
}
