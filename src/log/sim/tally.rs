//! What the runs have come across: a simulation that never meets a case proves nothing
//! about it.

/// The cases that must be met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Resumed,
    ResumedWithReplay,
    ResumedAfterTwoKills,
    ResumedByStranger,
    ResumedAcrossGenerations,
    ResetByTrimming,
    ResetByGeneration,
    ClaimPending,
    HalfOpenTaken,
    HalfOpenRechecked,
    LateCheckpoint,
    DuplicateAnswered,
    AnswerNotVouched,
    CleanFailoverLog,
    CleanFailoverHa,
    GapAcrossGenerations,
    LostSuffixLog,
    LostSuffixHa,
    ZombieAcked,
    ZombieRefused,
    DirtyFence,
    CleanFence,
    FenceRanOut,
    LateDirtyReport,
    RetentionLost,
    Restarted,
    Flushed,
    MetaDeleted,
    LogDeleted,
    Slept,
    FrameLost,
    FeedBroken,
    Forged,
    WaitFailed,
    ClaimNotReplicated,
    ClockWentBack,
}

impl Case {
    pub(super) const ALL: &'static [Self] = &[
        Self::Resumed,
        Self::ResumedWithReplay,
        Self::ResumedAfterTwoKills,
        Self::ResumedByStranger,
        Self::ResumedAcrossGenerations,
        Self::ResetByTrimming,
        Self::ResetByGeneration,
        Self::ClaimPending,
        Self::HalfOpenTaken,
        Self::HalfOpenRechecked,
        Self::LateCheckpoint,
        Self::DuplicateAnswered,
        Self::AnswerNotVouched,
        Self::CleanFailoverLog,
        Self::CleanFailoverHa,
        Self::GapAcrossGenerations,
        Self::LostSuffixLog,
        Self::LostSuffixHa,
        Self::ZombieAcked,
        Self::ZombieRefused,
        Self::DirtyFence,
        Self::CleanFence,
        Self::FenceRanOut,
        Self::LateDirtyReport,
        Self::RetentionLost,
        Self::Restarted,
        Self::Flushed,
        Self::MetaDeleted,
        Self::LogDeleted,
        Self::Slept,
        Self::FrameLost,
        Self::FeedBroken,
        Self::Forged,
        Self::WaitFailed,
        Self::ClaimNotReplicated,
        Self::ClockWentBack,
    ];
}

/// How often each case was met.
#[derive(Clone)]
pub(super) struct Tally([u32; Case::ALL.len()]);

impl std::fmt::Debug for Tally {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_map().entries(Case::ALL.iter().zip(self.0)).finish()
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self([0; Case::ALL.len()])
    }
}

impl Tally {
    pub(super) fn met(&mut self, case: Case) {
        self.0[case as usize] += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum += count;
        }
    }

    pub(super) fn count(&self, case: Case) -> u32 {
        self.0[case as usize]
    }
}
