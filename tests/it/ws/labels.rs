//! What the layer refuses is counted under reasons that the metrics know.

use hubbub::{
    metrics::REASONS,
    ws::{Failure, upgrade::Refusal},
};

fn is_known(stage: &str, reason: &str) -> bool {
    REASONS.iter().any(|(known, reasons)| *known == stage && reasons.contains(&reason))
}

#[test]
fn every_failure_and_every_refusal_is_a_known_reason() {
    for failure in Failure::ALL {
        assert!(is_known("frame", failure.label()), "{failure:?}");
    }
    for refusal in Refusal::ALL {
        assert!(is_known("handshake", refusal.label()), "{refusal:?}");
    }
    assert!(!is_known("frame", "anything"));
}
