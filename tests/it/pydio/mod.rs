//! The promises of the pydio dialect.

mod api;
mod badinput;
mod batches;
mod chat;
mod events;
mod input;
mod places;
mod requests;
mod resume;
mod rights;
mod sessions;
pub(crate) mod stage;

/// Names each test once for one node and once for two nodes that share a Redis.
macro_rules! on_one_and_on_two {
    ($($test:ident),* $(,)?) => {
        $crate::pydio::on_one_and_on_two!(with |_| {}; $($test),*);
    };
    (with $change:expr; $($test:ident),* $(,)?) => {
        mod on_one_node {
            $(#[tokio::test]
            async fn $test() {
                super::$test(&super::Stage::one_with($change).await).await;
            })*
        }
        mod on_two_nodes {
            $(#[tokio::test]
            async fn $test() {
                super::$test(&super::Stage::two_with($change).await).await;
            })*
        }
    };
}
pub(crate) use on_one_and_on_two;
