//! A server that answers what a test tells it to.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::{
    config::{Redis, Secret},
    redis_client::{RedisClient, testing},
};

/// What the stub does when it got a command.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// Sends these bytes.
    Bytes(Vec<u8>),
    /// Sends nothing.
    Nothing,
    /// Ends the connection.
    Close,
}

/// Makes an answer of bytes.
pub(super) fn bytes(text: &str) -> Answer {
    Answer::Bytes(text.as_bytes().to_vec())
}

type Rule = Arc<dyn Fn(&[String]) -> Option<Answer> + Send + Sync>;

/// The stub. What its rule does not answer, a peaceful primary would.
pub(super) struct Stub {
    port: u16,
    connections: Arc<AtomicUsize>,
    commands: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Stub {
    pub(super) async fn start(
        rule: impl Fn(&[String]) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let commands = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        let (count, seen) = (Arc::clone(&connections), Arc::clone(&commands));
        let rule: Rule = Arc::new(rule);
        tasks.spawn(async move {
            let mut serving = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                serving.spawn(serve(socket, Arc::clone(&rule), Arc::clone(&seen)));
            }
        });
        Self { port, connections, commands, _tasks: tasks }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn config(&self) -> Redis {
        let mut config = crate::config::Config::for_tests().redis;
        config.urls = vec![Secret::new(&format!("redis://127.0.0.1:{}", self.port))];
        config
    }

    pub(super) fn client(&self) -> RedisClient {
        RedisClient::new(&self.config(), &testing::metrics()).unwrap()
    }

    /// How many connections there were so far.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// How often the command came so far.
    pub(super) fn count(&self, command: &str) -> usize {
        self.commands.lock().iter().filter(|seen| *seen == command).count()
    }
}

async fn serve(socket: TcpStream, rule: Rule, seen: Arc<Mutex<Vec<String>>>) {
    let mut socket = BufReader::new(socket);
    while let Some(command) = read(&mut socket).await {
        seen.lock().push(command[0].clone());
        let answer = rule(&command).unwrap_or_else(|| peaceful(&command));
        match answer {
            Answer::Bytes(bytes) if socket.write_all(&bytes).await.is_ok() => {}
            Answer::Nothing => {}
            Answer::Bytes(_) | Answer::Close => return,
        }
    }
}

fn peaceful(command: &[String]) -> Answer {
    match command[0].as_str() {
        "HELLO" => bytes("%1\r\n+proto\r\n:3\r\n"),
        "ROLE" => bytes("*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"),
        // Asked by the pool, with a text to give back.
        "PING" if command.len() > 1 => {
            bytes(&format!("${}\r\n{}\r\n", command[1].len(), command[1]))
        }
        "WAIT" => bytes(":0\r\n"),
        _ => bytes("+OK\r\n"),
    }
}

async fn read(socket: &mut BufReader<TcpStream>) -> Option<Vec<String>> {
    let parts = number(socket).await?;
    let mut command = Vec::new();
    for _ in 0..parts {
        let length = number(socket).await?;
        let mut part = vec![0; length + 2];
        socket.read_exact(&mut part).await.ok()?;
        part.truncate(length);
        command.push(String::from_utf8_lossy(&part).into_owned());
    }
    Some(command)
}

/// The number behind `*` or `$`.
async fn number(socket: &mut BufReader<TcpStream>) -> Option<usize> {
    let mut line = String::new();
    socket.read_line(&mut line).await.ok()?;
    line.get(1..)?.trim().parse().ok()
}
