//! A panic while a message is handled costs its own socket, and says so.
//!
//! Invariants: what panicked is dropped before anything else happens, and is never
//! polled again.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::Poll,
};

/// The work panicked. The panic itself is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Panicked;

/// Runs `work` to its end, or to its panic. It comes in a box, so that who waits for
/// something else holds no room for it.
pub(super) fn shielded<F: Future + ?Sized>(
    mut work: Pin<Box<F>>,
) -> impl Future<Output = Result<F::Output, Panicked>> {
    poll_fn(move |ctx| {
        // A session that panicked only says goodbye; nothing of its state is used on.
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(ctx))) {
            Ok(Poll::Ready(done)) => Poll::Ready(Ok(done)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_panic) => Poll::Ready(Err(Panicked)),
        }
    })
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
        assert_eq!(shielded(Box::pin(late)).await, Ok(7));
        let broken = async {
            tokio::task::yield_now().await;
            panic!("a bug")
        };
        let end: Result<(), Panicked> = shielded(Box::pin(broken)).await;
        assert_eq!(end, Err(Panicked));
    }
}
