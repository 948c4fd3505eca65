//! The scheduler: reads `schedules/`, and fires what has fallen due. Any number of processes may run it. It asks the database only when a file has
//! changed, when something is due by this process's clock, and now and then to be sure; what is due is decided by the database's clock.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use jobs::schedules::definition::{self, DefinitionError, Schedule};
use jobs::schedules::{firing, moments};
use queue::Queue;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

/// How often the folder is read again.
const READ_EVERY: Duration = Duration::from_secs(2);

/// How often everything is looked at though nothing seems due: clocks differ.
const SURE_EVERY: Duration = Duration::from_secs(30);

/// When something was due by this process's clock and not by the database's.
const AGAIN: Duration = Duration::from_millis(500);

pub(crate) struct Scheduler {
    folder: PathBuf,
    queue: Queue,
    pg: PgPool,
    /// What this process has loaded.
    loaded: BTreeMap<String, Schedule>,
    told: Vec<DefinitionError>,
    sure_at: Option<Instant>,
}

impl Scheduler {
    pub(crate) fn new(folder: PathBuf, queue: Queue, pg: PgPool) -> Self {
        Self { folder, queue, pg, loaded: BTreeMap::new(), told: Vec::new(), sure_at: None }
    }

    /// Runs until `stop`. Trouble with the database ends nothing: the next round tries again, and the misfire rule decides what is made good.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            if let Err(error) = self.load().await {
                tracing::warn!("Could not load the schedules; trying again: {error:#}");
            }
            let pause = match self.fire().await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::warn!("Could not fire the schedules; trying again: {error:#}");
                    READ_EVERY
                }
            };
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    /// Takes in files that are new, changed or gone since this process last looked.
    async fn load(&mut self) -> anyhow::Result<()> {
        let folder = self.folder.clone();
        let (schedules, errors) =
            tokio::task::spawn_blocking(move || definition::read_folder(&folder)).await??;
        if errors != self.told {
            for error in &errors {
                tracing::error!("{error}; the others go on, and so does its last good version");
            }
            self.told.clone_from(&errors);
        }
        let mut gone: Vec<String> = self.loaded.keys().cloned().collect();
        gone.retain(|name| {
            !schedules.iter().any(|schedule| schedule.name == *name)
                && !errors.iter().any(|error| error.name == *name)
        });
        for name in gone {
            if let Some(schedule) = self.loaded.get(&name) {
                store::schedules::remove(&mut *self.pg.acquire().await?, &name, &schedule.hash).await?;
                tracing::info!("Schedule {name} is gone");
            }
            self.loaded.remove(&name);
        }
        for schedule in schedules {
            let known = self.loaded.get(&schedule.name).map(|known| &known.hash);
            if known == Some(&schedule.hash) {
                continue;
            }
            let kept = serde_json::to_value(&schedule.definition)?;
            let mut conn = self.pg.acquire().await?;
            if store::schedules::load(&mut conn, &schedule.name, &schedule.hash, &kept).await? {
                tracing::info!(
                    "Loaded schedule {}: {} ({})",
                    schedule.name,
                    schedule.definition.cron,
                    schedule.zone
                );
            }
            self.loaded.insert(schedule.name.clone(), schedule);
            self.sure_at = None;
        }
        Ok(())
    }

    /// Fires what is due; returns how long nothing else is.
    async fn fire(&mut self) -> anyhow::Result<Duration> {
        let now = Utc::now();
        let sure = self.sure_at.is_none_or(|at| at.elapsed() >= SURE_EVERY);
        let mut next: Option<DateTime<Utc>> = None;
        for schedule in self.loaded.values() {
            if sure || self.is_due(schedule, now) {
                self.fire_one(schedule).await?;
            }
            next = moments::next(&schedule.cron, schedule.zone, now, 1)
                .first()
                .copied()
                .into_iter()
                .chain(next)
                .min();
        }
        if sure {
            self.sure_at = Some(Instant::now());
        }
        let until_next = next.and_then(|next| (next - Utc::now()).to_std().ok()).unwrap_or(READ_EVERY);
        Ok(until_next.max(Duration::from_millis(1)).min(READ_EVERY))
    }

    /// Whether a moment has passed by this process's clock since about the last look.
    fn is_due(&self, schedule: &Schedule, now: DateTime<Utc>) -> bool {
        let window = chrono::TimeDelta::from_std(READ_EVERY + AGAIN * 2).unwrap_or_default();
        !moments::between(&schedule.cron, schedule.zone, now - window, now).is_empty()
    }

    async fn fire_one(&self, schedule: &Schedule) -> anyhow::Result<()> {
        let mut tx = self.queue.begin(&self.pg).await?;
        // Whoever has the row fires it.
        let Some(row) = store::schedules::try_lock(&mut tx, &schedule.name).await? else { return Ok(()) };
        // Another process has loaded another version since, or has seen the file go.
        if row.hash != schedule.hash || row.removed_at.is_some() {
            return Ok(());
        }
        firing::fire(&mut tx, schedule, &row).await?;
        tx.commit().await?;
        Ok(())
    }
}
