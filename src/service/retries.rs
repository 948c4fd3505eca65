//! What came of trying dead jobs again, as administrators read it at a terminal or over HTTP: for each job, and counted for each kind.

use std::collections::BTreeMap;
use std::fmt;

use channel::app::Settings;
use channel::retries::{self, Answered, Retry};
use channel::write_error::WriteError;
use queue::Queue;
use queue::connections::Connections;
use queue::job::JobId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::commands::output::table;

/// What came of a retry.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Retried {
    /// The dead job.
    #[schema(value_type = i64)]
    pub(crate) id: JobId,
    /// Its kind; null: it is not dead, or nothing could be learned of it.
    pub(crate) kind: Option<String>,
    /// Whether its work is done again.
    pub(crate) outcome: RetryOutcome,
    /// What does its work now, or why nothing does.
    pub(crate) detail: String,
}

/// Whether a dead job's work is done again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RetryOutcome {
    /// Something does it now.
    Retried,
    /// Nothing does.
    Refused,
}

impl RetryOutcome {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Retried => "retried",
            Self::Refused => "refused",
        }
    }
}

impl From<Retry> for Retried {
    fn from(Retry { id, kind, answer }: Retry) -> Self {
        let (outcome, detail) = match answer {
            Answered::Retried(detail) => (RetryOutcome::Retried, detail),
            Answered::Refused(detail) => (RetryOutcome::Refused, detail),
        };
        Self { id, kind, outcome, detail }
    }
}

/// What came of trying many jobs again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Retries {
    /// Each job that was touched, the oldest first.
    pub(crate) outcomes: Vec<Retried>,
    /// The same, counted.
    pub(crate) kinds: Vec<KindCount>,
}

/// How many jobs of a kind were tried again, and how many were not.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KindCount {
    /// The kind; null: of unknown kind, or not dead.
    pub(crate) kind: Option<String>,
    /// What does their work again.
    pub(crate) retried: usize,
    /// Nothing does.
    pub(crate) refused: usize,
    /// Why, the most frequent reason first.
    pub(crate) reasons: Vec<ReasonCount>,
}

/// How often something stood in the way.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReasonCount {
    /// What.
    pub(crate) reason: String,
    /// How often.
    pub(crate) jobs: usize,
}

impl From<Vec<Retried>> for Retries {
    fn from(outcomes: Vec<Retried>) -> Self {
        let mut kinds: BTreeMap<Option<&str>, (usize, BTreeMap<&str, usize>)> = BTreeMap::new();
        for outcome in &outcomes {
            let (retried, reasons) = kinds.entry(outcome.kind.as_deref()).or_default();
            match outcome.outcome {
                RetryOutcome::Retried => *retried += 1,
                RetryOutcome::Refused => *reasons.entry(&outcome.detail).or_default() += 1,
            }
        }
        let kinds = kinds.into_iter().map(|(kind, (retried, reasons))| {
            let refused = reasons.values().sum();
            let mut reasons: Vec<ReasonCount> = reasons
                .into_iter()
                .map(|(reason, jobs)| ReasonCount { reason: reason.to_owned(), jobs })
                .collect();
            reasons.sort_by_key(|reason| std::cmp::Reverse(reason.jobs));
            KindCount { kind: kind.map(str::to_owned), retried, refused, reasons }
        });
        let kinds = kinds.collect();
        Self { outcomes, kinds }
    }
}

impl Retries {
    /// A line for each kind: how many were tried again, how many were not, and why.
    pub(crate) fn counted(&self) -> String {
        let line = |KindCount { kind, retried, refused, reasons }: &KindCount| {
            let reasons: Vec<String> =
                reasons.iter().map(|why| format!("{} of them: {}", why.jobs, why.reason)).collect();
            let why = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join("; ")) };
            format!("{}: {retried} retried, {refused} refused{why}\n", kind.as_deref().unwrap_or("others"))
        };
        self.kinds.iter().map(line).collect()
    }

    /// There was something to be tried again, and nothing was.
    pub(crate) fn refused_all(&self) -> bool {
        !self.kinds.is_empty() && self.kinds.iter().all(|kind| kind.retried == 0)
    }
}

/// Each job, and behind them a line for each kind.
impl fmt::Display for Retries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.outcomes.is_empty() {
            return f.write_str("no job fits\n");
        }
        let rows = self.outcomes.iter().map(|Retried { id, kind, outcome, detail }| {
            let kind = kind.as_deref().unwrap_or("-");
            vec![id.to_string(), kind.to_owned(), outcome.as_str().to_owned(), detail.clone()]
        });
        writeln!(f, "{}", table(&["JOB", "KIND", "OUTCOME", "DETAIL"], rows))?;
        f.write_str(&self.counted())
    }
}

/// Tries these jobs again, one after the other. What has come of those before an error stands in `outcomes` all the same.
pub(crate) async fn retry_all(
    queue: &Queue,
    pg: &Connections,
    settings: &Settings,
    ids: &[JobId],
    actor: &str,
    outcomes: &mut Vec<Retried>,
) -> Result<(), WriteError> {
    for id in ids {
        let retried = match retries::retry(queue, pg, settings, *id, actor).await {
            Ok(retry) => retry.into(),
            Err(error) => of_this_job_alone(*id, &error).ok_or(error)?,
        };
        outcomes.push(retried);
    }
    Ok(())
}

/// What the database refuses about one job keeps nobody from those behind it. `None`: it refuses whatever is asked.
fn of_this_job_alone(id: JobId, error: &WriteError) -> Option<Retried> {
    let code = error.of_this_row_alone()?;
    tracing::warn!(job_id = id.0, code, "A job is not tried again, since the database refused its successor");
    let detail = format!("the database refused its successor (SQLSTATE {code})");
    Some(Retried { id, kind: None, outcome: RetryOutcome::Refused, detail })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retried(id: JobId, kind: &str, outcome: RetryOutcome, detail: &str) -> Retried {
        Retried { id, kind: Some(kind.to_owned()), outcome, detail: detail.to_owned() }
    }

    #[test]
    fn outcomes_are_counted_by_kind_and_reason() {
        let outcomes = vec![
            retried(JobId(1), "send_chunk", RetryOutcome::Retried, "delivery a"),
            retried(JobId(2), "send_chunk", RetryOutcome::Refused, "quota"),
            retried(JobId(3), "send_chunk", RetryOutcome::Refused, "window"),
            retried(JobId(4), "send_chunk", RetryOutcome::Refused, "window"),
            retried(JobId(5), "answer", RetryOutcome::Retried, "job 9"),
        ];

        let kinds = serde_json::to_value(Retries::from(outcomes).kinds).unwrap();

        assert_eq!(
            kinds,
            serde_json::json!([
                { "kind": "answer", "retried": 1, "refused": 0, "reasons": [] },
                { "kind": "send_chunk", "retried": 1, "refused": 3, "reasons": [
                    { "reason": "window", "jobs": 2 },
                    { "reason": "quota", "jobs": 1 },
                ] },
            ])
        );
    }
}
