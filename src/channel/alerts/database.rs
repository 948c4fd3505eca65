//! Tells that the database is away, read-only or refuses what is written. No row and no job can be written then, so each process looks by itself, tells the log
//! and the operator's service from memory, and writes the row when the database takes it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, Utc};
use outgoing_webhook::WebhookError;
use queue::Queue;
use queue::connections::Connections;
use queue::workers;
use store::alerts::AlertCause;
use tokio_util::sync::CancellationToken;

use super::post::{AlertPost, Telling};
use crate::app::Settings;
use crate::write_error::WriteError;

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A database that answers later does not answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Looks after the database for one process.
pub struct DatabaseWatch {
    pg: Connections,
    queue: Queue,
    settings: Arc<Settings>,
    process: String,
    outage: Option<Outage>,
}

/// What is wrong now.
struct Outage {
    cause: AlertCause,
    detail: String,
    begun: Instant,
    /// By this machine's clock, for people.
    since: DateTime<Utc>,
    told: Option<Told>,
    /// The telling that the log has.
    logged: i32,
}

/// What was told of it last.
struct Told {
    cause: AlertCause,
    at: Instant,
    times: i32,
}

impl DatabaseWatch {
    /// Looks through these connections, which are for nobody who waits long.
    #[must_use]
    pub fn new(pg: Connections, queue: Queue, settings: Arc<Settings>) -> Self {
        Self { pg, queue, settings, process: workers::process_name(), outage: None }
    }

    /// Looks until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let every = LOOK_EVERY.min(self.settings.alerts.database_after.max(Duration::from_millis(100)));
        let mut looks = tokio::time::interval(every);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(looks.tick()).await.is_some() {
            match self.trouble().await {
                Some((cause, detail)) => self.note(cause, detail).await,
                None => self.note_end().await,
            }
        }
    }

    /// What is wrong with the database; `None`: it takes writes.
    async fn trouble(&self) -> Option<(AlertCause, String)> {
        match tokio::time::timeout(ANSWER_WITHIN, self.pg.can_write()).await {
            Ok(Ok(true)) => None,
            Ok(Ok(false)) => Some((AlertCause::DatabaseReadOnly, "it takes no writes".to_owned())),
            Ok(Err(error)) => Some(match error.as_database_error() {
                Some(refusal) => {
                    let code = refusal.code().unwrap_or_default().into_owned();
                    (cause_of(&code), format!("{} ({code})", refusal.message()))
                }
                None => (AlertCause::DatabaseAway, error.to_string()),
            }),
            Err(_) => Some((AlertCause::DatabaseAway, format!("it has not answered for {ANSWER_WITHIN:?}"))),
        }
    }

    async fn note(&mut self, cause: AlertCause, detail: String) {
        let detail = outside::words::without_phone_numbers(&format!("process {}: {detail}", self.process));
        let outage = self.outage.get_or_insert_with(|| Outage {
            cause,
            detail: String::new(),
            begun: Instant::now(),
            since: machine_time(),
            told: None,
            logged: 0,
        });
        (outage.cause, outage.detail) = (cause, detail);
        let is_due = match &outage.told {
            None => outage.begun.elapsed() >= self.settings.alerts.database_after,
            Some(told) => told.cause != cause || told.at.elapsed() >= self.settings.alerts.repeat_every,
        };
        if is_due && let Err(error) = self.tell().await {
            tracing::warn!("The operator's service could not be told of the database; trying again: {error}");
        }
    }

    /// Tells the log once and the service until it has taken it.
    async fn tell(&mut self) -> Result<(), WebhookError> {
        let Some(outage) = &mut self.outage else { return Ok(()) };
        let times = outage.told.as_ref().map_or(1, |told| told.times + 1);
        let telling = if times == 1 { Telling::Raised } else { Telling::Repeated };
        let is_logged = outage.logged >= times;
        outage.logged = times;
        let Outage { cause, detail, since, .. } = &*outage;
        if !is_logged {
            tracing::error!(cause = cause.as_str(), "Alert, {cause}, since {since:?}: {detail}");
        }
        if let Some(webhook) = &self.settings.alert_webhook {
            let post = AlertPost::new(None, *cause, telling, detail, *since, times);
            let id = format!("database-{}-{}-{times}", self.process, since.timestamp_micros());
            webhook.post(&id, &post).await?;
        }
        outage.told = Some(Told { cause: *cause, at: Instant::now(), times });
        Ok(())
    }

    async fn note_end(&mut self) {
        let Some(outage) = &self.outage else { return };
        if let Some(told) = &outage.told
            && let Err(error) = self.write_down(outage, told.cause).await
        {
            tracing::warn!("Could not write down that the database was in trouble; trying again: {error}");
            return;
        }
        self.outage = None;
    }

    async fn write_down(&self, outage: &Outage, cause: AlertCause) -> Result<(), WriteError> {
        let mut tx = self.queue.begin(&self.pg).await?;
        let (began_ago, comes_back_within) =
            (outage.begun.elapsed().as_secs_f64(), self.settings.alerts.repeat_every.as_secs_f64());
        let written =
            store::alerts::write_down(&mut tx, cause, &outage.detail, began_ago, comes_back_within).await?;
        // Another process may have told its end a moment ago.
        if written.is_news {
            super::enqueue(&mut tx, &self.settings, written.id, Telling::Resolved, 1).await?;
            tracing::info!(
                alert.id = written.id.0,
                cause = cause.as_str(),
                "Alert {}, {cause}, is over",
                written.id
            );
        }
        tx.commit().await?;
        Ok(())
    }
}

/// What a refusal with this SQLSTATE means.
fn cause_of(code: &str) -> AlertCause {
    match code {
        // read_only_sql_transaction
        "25006" => AlertCause::DatabaseReadOnly,
        // It stops, starts or has stopped.
        code if code.starts_with("57P") || code.starts_with("08") => AlertCause::DatabaseAway,
        _ => AlertCause::DatabaseRefuses,
    }
}

#[expect(clippy::disallowed_methods, reason = "the database's clock is not to be had")]
fn machine_time() -> DateTime<Utc> {
    SystemTime::now().into()
}
