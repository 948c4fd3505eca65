//! `cloudybot jobs …`: the queue, for an administrator at a terminal.

use std::time::Duration;

use anyhow::Context as _;
use channel::administration::pauses;
use channel::app::Settings;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand, ValueEnum};
use queue::Queue;
use queue::connections::Connections;
use queue::failure_groups;
use queue::inspection::{ActionOutcome, JobAction, JobCriteria};
use queue::job::JobId;
use queue::job_state::JobState;
use queue::pauses::Scope;

use super::choices;
use super::chosen_jobs::Chosen;
use super::jobs_tables::{self, GROUPS_HEAD, LIST_HEAD, PAUSES_HEAD, STATS_HEAD};
use super::output::{actor, moment, print, table};
use crate::app;
use crate::config::Config;
use crate::database::Database;
use crate::retries::Retries;
use crate::sender::{self, Resumed};

#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// The newest jobs
    List {
        #[command(flatten)]
        filter: FilterArgs,
        /// How many at most
        #[arg(long, default_value_t = 50)]
        limit: i64,
    },
    /// One job: payload, state, every attempt with its error
    Show {
        /// The job's number
        id: JobId,
    },
    /// Try dead jobs again: each does its work once more, or says why not
    Retry(Chosen),
    /// End waiting jobs, ask running ones to stop, put dead ones away
    Cancel {
        #[command(flatten)]
        chosen: Chosen,
        /// Do not ask before all that fit a filter are cancelled
        #[arg(long)]
        yes: bool,
    },
    /// Do not wait for a scheduled job's time any longer: one of the future, or one that waits for its next attempt
    RunNow {
        /// The job's number
        id: JobId,
    },
    /// How many jobs stand where
    Stats,
    /// Dead jobs by what went wrong: errors that differ in numbers, ids and quotes alone are one group
    Groups {
        /// Jobs that have failed and are tried again, instead of dead ones
        #[arg(long)]
        live: bool,
    },
    /// Begin nothing new of a pool or a kind, in all processes
    Pause {
        #[command(flatten)]
        paused: Paused,
        /// Why, for whoever looks
        #[arg(long, value_name = "WORDS")]
        reason: Option<String>,
    },
    /// What is paused: since when, by whom, why
    Pauses,
    /// Let a pool or a kind go on; a sender that was held back is tried out at once
    Resume(Paused),
    /// Try out now whether Twilio takes what we send, while sending is paused because it did not
    Probe,
}

#[derive(Debug, Args)]
pub(crate) struct Paused {
    /// What is paused
    scope: ScopeArg,
    /// Its name
    name: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ScopeArg {
    Pool,
    Kind,
}

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct FilterArgs {
    /// Where it stands
    #[arg(long, value_parser = choices::one_of(JobState::ALL.map(JobState::as_str), str::parse::<JobState>))]
    state: Option<JobState>,
    /// A job kind, send_chunk say
    #[arg(long)]
    kind: Option<String>,
    /// A pool
    #[arg(long)]
    pool: Option<String>,
    /// A lane
    #[arg(long)]
    lane: Option<String>,
    /// A group of dead jobs, as `jobs groups` names it
    #[arg(long)]
    group: Option<String>,
    /// Enqueued at this moment or later, 2026-11-23T15:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<DateTime<Utc>>,
    /// Enqueued before this moment
    #[arg(long, value_name = "TIME")]
    until: Option<DateTime<Utc>>,
    /// A text in their payload, in capitals or not; a list searches the newest 100,000
    #[arg(long, value_name = "TEXT")]
    contains: Option<String>,
    /// Of a lower number than this; the next page of a list
    #[arg(long, value_name = "JOB")]
    before: Option<JobId>,
}

impl FilterArgs {
    pub(crate) fn filter(&self) -> anyhow::Result<JobCriteria> {
        let Self { state, kind, pool, lane, group, since, until, contains, before } = self.clone();
        Ok(JobCriteria { state, kind, pool, lane, group, since, until, contains, before })
    }

    pub(crate) fn is_empty(&self) -> bool {
        let texts = [&self.kind, &self.pool, &self.lane, &self.group, &self.contains];
        self.state.is_none()
            && texts.iter().all(|text| text.is_none())
            && self.since.is_none()
            && self.until.is_none()
            && self.before.is_none()
    }
}

/// Does what was asked; prints tables, or JSON for a program.
pub(crate) async fn run(config: &Config, command: JobsCommand, as_json: bool) -> anyhow::Result<()> {
    let database = Database::open_answering(config).await?;
    let pg = database.pool(2, Duration::from_secs(10));
    let queue = Queue::open(pg.clone(), config.keys.queue.clone());
    let answer = answer(config, &queue, &pg, command, as_json).await;
    queue.flush_notifications().await;
    answer
}

async fn answer(
    config: &Config,
    queue: &Queue,
    pg: &Connections,
    command: JobsCommand,
    as_json: bool,
) -> anyhow::Result<()> {
    let actor = &actor();
    match command {
        JobsCommand::List { filter, limit } => {
            let filter = filter.filter()?;
            let list = queue.list(&filter, limit).await.context(UNANSWERED)?;
            let unread = jobs_tables::unread(&list, &filter);
            if as_json {
                // Beside the jobs, which a program reads.
                eprint!("{unread}");
            }
            print(as_json, &list.jobs, || {
                table(&LIST_HEAD, list.jobs.iter().map(jobs_tables::list_row)) + &unread
            })
        }
        JobsCommand::Show { id } => {
            let job = queue
                .show(id)
                .await
                .context(UNANSWERED)?
                .with_context(|| format!("job {id} is not remembered"))?;
            print(as_json, &job, || jobs_tables::detail(&job))
        }
        JobsCommand::Retry(chosen) => {
            if let Some(trial) = chosen.trial(queue, JobAction::Retry).await? {
                return print(as_json, &trial, || trial.to_string());
            }
            let mut outcomes = Vec::new();
            let settings = settings(config, pg).await?;
            let ended = chosen.retry(queue, pg, &settings, actor, &mut outcomes).await;
            if outcomes.is_empty() {
                ended?;
                return print(as_json, &Retries::from(outcomes), || "no job fits\n".to_owned());
            }
            let retries = Retries::from(outcomes);
            print(as_json, &retries, || retries.to_string())?;
            ended?;
            anyhow::ensure!(!retries.refused_all(), "nothing was retried");
            Ok(())
        }
        JobsCommand::Cancel { chosen, yes } => match chosen.trial(queue, JobAction::Cancel).await? {
            Some(trial) => print(as_json, &trial, || trial.to_string()),
            None => report(as_json, &chosen.cancel(queue, actor, yes).await?),
        },
        JobsCommand::RunNow { id } => {
            let due = queue.run_now(id, actor).await?;
            print(as_json, &due, || {
                format!("job {id} is due now; it was due at {}\n", moment(due.was_due_at))
            })
        }
        JobsCommand::Stats => {
            let counts = queue.stats().await.context(UNANSWERED)?;
            print(as_json, &counts, || table(&STATS_HEAD, counts.iter().map(jobs_tables::stats_row)))
        }
        JobsCommand::Groups { live } => {
            let mut conn = pg.acquire().await.context(UNANSWERED)?;
            let groups = match live {
                true => failure_groups::of_live(&mut conn).await,
                false => failure_groups::of_dead(&mut conn).await,
            };
            let groups = groups.context(UNANSWERED)?;
            print(as_json, &groups, || table(&GROUPS_HEAD, groups.iter().map(jobs_tables::group_row)))
        }
        JobsCommand::Pauses => {
            let pauses = pauses::all(&mut *pg.acquire().await?).await.context(UNANSWERED)?;
            print(as_json, &pauses, || {
                if pauses.is_empty() {
                    return "nothing is paused\n".to_owned();
                }
                table(&PAUSES_HEAD, pauses.iter().map(jobs_tables::pause_row))
            })
        }
        JobsCommand::Pause { paused, reason } => {
            let changed =
                pauses::pause(queue, pg, paused.scope(), &paused.name, actor, reason.as_deref()).await?;
            print(as_json, &changed, || {
                if changed { "paused\n".to_owned() } else { "was paused already\n".to_owned() }
            })
        }
        JobsCommand::Resume(paused) => {
            let settings = settings(config, pg).await?;
            let resumed = sender::resume(queue, pg, &settings, paused.scope(), &paused.name, actor);
            let Resumed { changed, probing } = resumed.await.context(UNANSWERED)?;
            print(as_json, &changed, || {
                let changed = if changed { "resumed" } else { "was not paused" };
                let probing = if probing {
                    "; the sender is tried out now, and `cloudybot status` tells what came of it"
                } else {
                    ""
                };
                format!("{changed}{probing}\n")
            })
        }
        JobsCommand::Probe => {
            let settings = settings(config, pg).await?;
            let probing = sender::probe(queue, pg, &settings, actor).await.context(UNANSWERED)?;
            print(as_json, &probing, || {
                let told = if probing {
                    "the sender is tried out now; `cloudybot status` tells what came of it"
                } else {
                    "the sender is not held back"
                };
                format!("{told}\n")
            })
        }
    }
}

pub(super) const UNANSWERED: &str = "the queue cannot be asked; `cloudybot check` says why";

impl Paused {
    fn scope(&self) -> Scope {
        match self.scope {
            ScopeArg::Pool => Scope::Pool,
            ScopeArg::Kind => Scope::Kind,
        }
    }
}

async fn settings(config: &Config, pg: &Connections) -> anyhow::Result<Settings> {
    Ok(app::settings(config, config.keys.server.listen, app::secret_keys(config, pg).await?))
}

fn report(as_json: bool, outcomes: &[ActionOutcome]) -> anyhow::Result<()> {
    print(as_json, &outcomes, || {
        if outcomes.is_empty() {
            return "no job fits\n".to_owned();
        }
        let rows = outcomes.iter().map(|outcome| vec![outcome.id.to_string(), outcome.outcome.to_string()]);
        format!("{}\n{}\n", table(&["JOB", "OUTCOME"], rows), jobs_tables::counted(outcomes))
    })?;
    let nothing = !outcomes.is_empty() && !outcomes.iter().any(|outcome| outcome.outcome.is_done());
    anyhow::ensure!(!nothing, "nothing was cancelled");
    Ok(())
}
