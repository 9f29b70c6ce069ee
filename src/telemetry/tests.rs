//! Goal: nobody waits for a log line, and what is lost is said.
//! Method: writers that stand still, fail, or keep what they get.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
    time::Duration,
};

use parking_lot::Mutex;

use super::*;

/// Keeps what it gets.
#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).unwrap()
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Stands still until the other end of its channel is dropped.
struct Stuck(Receiver<()>, Kept);

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        while self.0.recv().is_ok() {}
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A closed pipe.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn a_stuck_reader_of_the_log_stops_nobody() {
    let (release, stuck) = sync_channel(0);
    let kept = Kept::default();
    let notice = Form::Text.notice();
    let mut queue = Queue::start(Stuck(stuck, kept.clone()), notice).unwrap();
    for _ in 0..20_000 {
        queue.write_all(b"line\n").unwrap();
    }
    let lost = queue.lost();
    assert!((10_000..20_000).contains(&lost), "{lost}");
    assert!(!queue.flush(Duration::ZERO));
    drop(release);
    // The queue was full, so the flush needs room first.
    let deadline = std::iter::repeat_with(|| queue.flush(PATIENCE)).take(1_000_000);
    assert!(deadline.into_iter().any(|is_flushed| is_flushed));
    let text = kept.text();
    let lines = u64::try_from(text.matches("line\n").count()).unwrap();
    assert_eq!(lines + lost, 20_000);
    assert!(text.contains(&format!("WARN log lines lost lines={lost}\n")), "{lost}");
}

#[test]
fn bytes_are_bounded_as_well_as_lines() {
    let (release, stuck) = sync_channel(0);
    let mut queue = Queue::start(Stuck(stuck, Kept::default()), Form::Text.notice()).unwrap();
    let megabyte = vec![b'x'; 1 << 20];
    for _ in 0..10 {
        queue.write_all(&megabyte).unwrap();
    }
    assert!(queue.lost() >= 5, "{}", queue.lost());
    drop(release);
}

#[test]
fn a_closed_stderr_stops_nobody() {
    let mut queue = Queue::start(Closed, Form::Text.notice()).unwrap();
    for _ in 0..10 {
        queue.write_all(b"line\n").unwrap();
    }
    assert!(queue.flush(PATIENCE));
    assert_eq!(queue.lost(), 10);
}

/// The lines that `log` makes in `form`.
fn logged(form: Form, log: impl FnOnce()) -> String {
    let kept = Kept::default();
    let queue = Queue::start(kept.clone(), form.notice()).unwrap();
    let subscriber = tracing_subscriber::registry().with(lines(form, queue.clone()));
    tracing::subscriber::with_default(subscriber, log);
    assert!(queue.flush(PATIENCE));
    kept.text()
}

#[test]
fn lines_are_json_for_machines_and_text_for_people() {
    let log = || {
        let span = tracing::info_span!("connection", conn = 7);
        span.in_scope(|| tracing::warn!(user = "a\nb", "too fast"));
    };
    let text = logged(Form::Json, log);
    let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
    assert_eq!(text.lines().count(), 1);
    assert_eq!((&line["level"], &line["message"]), (&"WARN".into(), &"too fast".into()));
    assert_eq!((&line["user"], &line["span"]["conn"]), (&"a\nb".into(), &7.into()));
    let text = logged(Form::Text, log);
    assert!(text.contains("WARN") && text.contains("too fast"), "{text}");
    assert!(!text.contains('\u{1b}'), "no colours outside a terminal");
    let notice: serde_json::Value = serde_json::from_str(&(Form::Json.notice())(3)).unwrap();
    assert_eq!(notice["lines"], 3);
}

#[test]
fn auto_follows_the_terminal() {
    for (format, is_terminal, form) in [
        (LogFormat::Auto, true, Form::Colour),
        (LogFormat::Auto, false, Form::Json),
        (LogFormat::Text, false, Form::Text),
        (LogFormat::Json, true, Form::Json),
    ] {
        assert_eq!(Form::of(format, is_terminal), form);
    }
}

#[test]
fn the_level_changes_while_it_runs() {
    let kept = Kept::default();
    let queue = Queue::start(kept.clone(), Form::Text.notice()).unwrap();
    let (filter, handle) = reload::Layer::new(filter("warn").unwrap());
    let level = LogLevel(handle);
    let subscriber =
        tracing_subscriber::registry().with(filter).with(lines(Form::Text, queue.clone()));
    tracing::subscriber::with_default(subscriber, || {
        tracing::info!("first");
        level.set("info").unwrap();
        tracing::info!("second");
        assert!(level.set("info=info=info").is_err());
        tracing::info!("third");
    });
    assert!(queue.flush(PATIENCE));
    let text = kept.text();
    assert!(!text.contains("first") && text.contains("second") && text.contains("third"));
}
