//! The bounded queue between those who log and the one thread that writes.
//!
//! Invariants: logging never waits for the terminal, pipe or disk behind stderr,
//! and never fails; a line that finds the queue full is counted, and the count is
//! written as soon as there is room.
//!
//! Not here: what a line looks like (`telemetry`).

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait.
const LINES_MAX: usize = 8_192;

/// Bytes that may wait: one huge line must not multiply by [`LINES_MAX`].
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// How the writer says that lines are missing.
pub(super) type Notice = fn(lost: u64) -> String;

enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// Where lines go. Cloning shares the queue; the thread ends with the last clone.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    outbound: SyncSender<Message>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    waiting_bytes: AtomicUsize,
    lost: AtomicU64,
}

impl Queue {
    /// Starts the thread that writes to `sink`.
    ///
    /// # Errors
    ///
    /// The operating system gives no thread.
    pub(super) fn start(sink: impl Write + Send + 'static, notice: Notice) -> io::Result<Self> {
        let (outbound, inbound) = sync_channel(LINES_MAX);
        let counts = Arc::<Counts>::default();
        let shared = Arc::clone(&counts);
        // The handle is not joined: a write that blocks must not hold up the end of
        // the process, and `flush` waits for the lines that can be written.
        drop(
            std::thread::Builder::new()
                .name("log-writer".to_owned())
                .spawn(move || write_all(sink, &inbound, &shared, notice))?,
        );
        Ok(Self { outbound, counts })
    }

    /// Lines that were lost since the start, because nobody read them in time.
    pub(super) fn lost(&self) -> u64 {
        self.counts.lost.load(Ordering::Relaxed)
    }

    /// Waits until what was logged is written, at most `patience`. False when it
    /// was not enough.
    pub(super) fn flush(&self, patience: Duration) -> bool {
        let (done, is_done) = sync_channel(1);
        self.outbound.try_send(Message::Flush(done)).is_ok()
            && is_done.recv_timeout(patience).is_ok()
    }

    fn push(&self, line: &[u8]) {
        let waiting = self.counts.waiting_bytes.fetch_add(line.len(), Ordering::Relaxed);
        let has_room = waiting.saturating_add(line.len()) <= BYTES_MAX;
        if !has_room || self.outbound.try_send(Message::Line(line.to_vec())).is_err() {
            self.counts.waiting_bytes.fetch_sub(line.len(), Ordering::Relaxed);
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn write_all(mut sink: impl Write, inbound: &Receiver<Message>, counts: &Counts, notice: Notice) {
    let mut told = 0;
    while let Ok(message) = inbound.recv() {
        match message {
            Message::Line(line) => {
                counts.waiting_bytes.fetch_sub(line.len(), Ordering::Relaxed);
                if sink.write_all(&line).is_err() {
                    counts.lost.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                let lost = counts.lost.load(Ordering::Relaxed);
                if lost > told && sink.write_all(notice(lost - told).as_bytes()).is_ok() {
                    told = lost;
                }
            }
            Message::Flush(done) => {
                // Who asked may have given up, and a closed stderr has nothing to flush.
                drop((sink.flush(), done.try_send(())));
            }
        }
    }
}

impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
