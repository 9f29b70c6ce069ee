//! A panic while a message is handled costs its own socket, and says so.
//!
//! Invariants: what panicked is dropped before anything else happens, and is never
//! polled again.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    task::Poll,
};

/// The work panicked. The panic itself is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Panicked;

/// Runs `work` to its end, or to its panic.
pub(super) async fn shielded<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    let mut work = Box::pin(work);
    poll_fn(move |ctx| {
        // A session that panicked only says goodbye; nothing of its state is used on.
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(ctx))) {
            Ok(Poll::Ready(done)) => Poll::Ready(Ok(done)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_panic) => Poll::Ready(Err(Panicked)),
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_told_and_other_ends_are_kept() {
        let late = async {
            tokio::task::yield_now().await;
            7
        };
        assert_eq!(shielded(late).await, Ok(7));
        let broken = async {
            tokio::task::yield_now().await;
            panic!("a bug")
        };
        let end: Result<(), Panicked> = shielded(broken).await;
        assert_eq!(end, Err(Panicked));
    }
}
