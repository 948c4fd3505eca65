//! How a process's attempts have ended, by kind.

use std::collections::HashMap;
use std::time::Duration;

use crate::attempt_end::AttemptEnd;
use crate::counts::{Count, DurationCounts, Durations};
use crate::worker::claimed::ClaimedRow;
use crate::worker::outcome::AttemptOutcome;

/// The attempts of the kinds that a process runs. What a crash or a lost lease has cut short is counted by nobody.
#[derive(Debug)]
pub struct AttemptCounts(HashMap<&'static str, OfKind>);

#[derive(Debug, Default)]
struct OfKind {
    done: Count,
    /// In the order of [`AttemptEnd::ALL`].
    others: [Count; AttemptEnd::ALL.len()],
    took: Durations,
}

/// The attempts of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct KindAttempts {
    /// The kind.
    pub kind: &'static str,
    /// How many have done their work.
    pub done: u64,
    /// How many have ended otherwise, each end once.
    pub others: Vec<(AttemptEnd, u64)>,
    /// How long they took.
    pub took: DurationCounts,
}

impl AttemptCounts {
    pub(crate) fn of(kinds: impl IntoIterator<Item = &'static str>) -> Self {
        Self(kinds.into_iter().map(|kind| (kind, OfKind::default())).collect())
    }

    pub(crate) fn add(&self, row: &ClaimedRow, outcome: &AttemptOutcome, took: Duration) {
        let Some(of_kind) = self.0.get(&*row.kind) else { return };
        of_kind.took.add(took);
        let end = match outcome {
            AttemptOutcome::Done => return of_kind.done.add(),
            AttemptOutcome::Failed { .. } if row.attempt + 1 >= row.max_attempts => AttemptEnd::Dead,
            AttemptOutcome::Failed { .. } => AttemptEnd::Failed,
            AttemptOutcome::Aborted(_) => AttemptEnd::Dead,
            AttemptOutcome::Snoozed(_) => AttemptEnd::Snoozed,
            AttemptOutcome::HandedBack => AttemptEnd::HandedBack,
            AttemptOutcome::Cancelled(_) => AttemptEnd::Cancelled,
        };
        let ends = AttemptEnd::ALL.into_iter().zip(&of_kind.others);
        ends.filter(|(known, _)| *known == end).for_each(|(_, count)| count.add());
    }

    /// So far, in the order of the kinds' names.
    #[must_use]
    pub fn read(&self) -> Vec<KindAttempts> {
        let mut read: Vec<KindAttempts> = self
            .0
            .iter()
            .map(|(kind, of_kind)| KindAttempts {
                kind,
                done: of_kind.done.read(),
                others: AttemptEnd::ALL.into_iter().zip(of_kind.others.iter().map(Count::read)).collect(),
                took: of_kind.took.read(),
            })
            .collect();
        read.sort_unstable_by_key(|of_kind| of_kind.kind);
        read
    }
}
