//! The scheduler: reads `schedules/`, and fires what has fallen due. Any number of processes may run it. What is due is decided by the database's
//! clock alone; a process keeps that clock's time with a stopwatch between two looks, so that its own wall clock may be wrong. The database is
//! asked when a file has changed, when something is due, and now and then to be sure.

/// Follows the folder.
mod folder;
/// What this process has loaded.
mod loaded;
/// Whether it still looks.
pub(crate) mod pulse;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use channel::alerts;
use channel::app::Settings;
use channel::schedules::schedule_file::{DefinitionError, Schedule};
use channel::schedules::zone_choice::ZoneChoice;
use channel::schedules::{firing, moments, zones};
use chrono::{DateTime, Utc};
use queue::clock::Clock;
use queue::connections::Connections;
use queue::counts::Durations;
use queue::{Queue, workers};
use sha2::{Digest as _, Sha256};
use store::alerts::AlertCause;
use tokio_util::sync::CancellationToken;

use self::loaded::{Loaded, Watch, of};
use self::pulse::SchedulerPulse;
use crate::zone_rules;

/// How often the folder is read again.
const READ_EVERY: Duration = Duration::from_secs(2);

/// How often everything is looked at though nothing seems due, and the database's clock is read again.
const SURE_EVERY: Duration = Duration::from_secs(30);

/// When something is due by the stopwatch and not yet by the database's clock.
const AGAIN: Duration = Duration::from_millis(5);

pub(crate) struct Scheduler {
    folder: PathBuf,
    queue: Queue,
    pg: Connections,
    /// Who is told of a folder that cannot be read.
    settings: Arc<Settings>,
    process: String,
    /// What this process has loaded, and when each falls due next; the clock looks in too.
    loaded: Arc<Mutex<Loaded>>,
    told: Vec<DefinitionError>,
    /// Names that were ignored when the folder was last read.
    ignored: Vec<String>,
    /// Why the folder could not be read when it was last looked at, once that is told.
    unreadable: Option<String>,
    read_at: Option<Instant>,
    sure_at: Option<Instant>,
    pulse: SchedulerPulse,
    /// How long after they fell due slots were fired.
    lateness: Arc<Durations>,
}

impl Scheduler {
    pub(crate) fn new(folder: PathBuf, queue: Queue, pg: Connections, settings: Arc<Settings>) -> Self {
        let process = workers::process_name();
        Self {
            folder,
            queue,
            pg,
            settings,
            process,
            loaded: Arc::default(),
            told: Vec::new(),
            ignored: Vec::new(),
            unreadable: None,
            read_at: None,
            sure_at: None,
            pulse: SchedulerPulse::default(),
            lateness: Arc::default(),
        }
    }

    /// How late this process fires, for metrics.
    pub(crate) fn lateness(&self) -> Arc<Durations> {
        self.lateness.clone()
    }

    /// Whether it still looks, for health checks.
    pub(crate) fn pulse(&self) -> SchedulerPulse {
        self.pulse.clone()
    }

    /// Runs until `stop`. Trouble with the database ends nothing: the next round tries again, and the misfire rule decides what is made good.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let loaded = self.loaded.clone();
        #[expect(
            clippy::disallowed_methods,
            reason = "apalis-cron's ticks are seconds of this machine's clock; how many from now is by the stopwatch"
        )]
        let next = move || SystemTime::now() + of(&loaded).idle().min(READ_EVERY);
        let mut clock = Clock::new(next);
        let looking = async {
            loop {
                let looked = self.round().await;
                self.pulse.note(looked.is_ok());
                if let Err(error) = looked {
                    // Everything is looked at again.
                    self.sure_at = None;
                    tracing::warn!("Could not look after the schedules; trying again: {error:#}");
                }
                clock.tick().await;
            }
        };
        let _: Option<()> = stop.run_until_cancelled(looking).await;
        if let Ok(mut conn) = self.pg.acquire().await
            && let Err(error) = store::schedulers::forget(&mut conn, &self.process).await
        {
            tracing::debug!("Could not take this process off the list of schedulers: {error}");
        }
    }

    /// Looks after everything until nothing falls due before the clock's next tick.
    async fn round(&mut self) -> anyhow::Result<()> {
        loop {
            if self.read_at.is_none_or(|at| at.elapsed() >= READ_EVERY / 2) {
                self.load().await?;
                self.read_at = Some(Instant::now());
            }
            let sure = self.sure_at.is_none_or(|at| at.elapsed() >= SURE_EVERY);
            if sure {
                self.read_clock().await?;
                self.hold_alert().await?;
                self.tell().await?;
            }
            self.fire(sure).await?;
            if sure {
                self.sure_at = Some(Instant::now());
            }
            let idle = of(&self.loaded).idle();
            if idle >= Duration::from_secs(1) {
                return Ok(());
            }
            tokio::time::sleep(idle.max(AGAIN)).await;
        }
    }

    async fn read_clock(&mut self) -> anyhow::Result<()> {
        let mut conn = self.pg.acquire().await?;
        let shown = store::clock::now(&mut conn).await?;
        if of(&self.loaded).watch.is_none() {
            zone_rules::log(&mut conn).await?;
        }
        of(&self.loaded).watch = Some(Watch { shown, at: Instant::now() });
        Ok(())
    }

    /// A folder that cannot be read is told as long as that is so, and over when no process says so any more.
    async fn hold_alert(&self) -> anyhow::Result<()> {
        let Some(why) = &self.unreadable else { return Ok(()) };
        let detail = format!("process {}: {}", self.process, self.unreadable_in_words(why));
        let mut tx = self.queue.begin(&self.pg).await?;
        alerts::hold(&mut tx, &self.settings, AlertCause::SchedulesUnreadable, &detail).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Fires what is due by the stopwatch, or looks at everything.
    async fn fire(&self, all: bool) -> anyhow::Result<()> {
        let due = of(&self.loaded).due(all);
        for schedule in due {
            let looked_until = self.fire_one(&schedule).await?;
            let next = self.next(&schedule, looked_until).await?;
            let mut loaded = of(&self.loaded);
            if let Some((_, due)) = loaded.schedules.get_mut(&schedule.name) {
                *due = next;
            }
        }
        Ok(())
    }

    /// The first moment after this one at which a schedule falls due in one of its zones.
    async fn next(&self, schedule: &Schedule, after: DateTime<Utc>) -> anyhow::Result<Option<DateTime<Utc>>> {
        let zones: Vec<_> = match schedule.zone {
            ZoneChoice::One(zone) => vec![zone],
            ZoneChoice::Users { .. } => {
                let due_zones = firing::due_zones(&mut *self.pg.acquire().await?, schedule).await?;
                due_zones.into_iter().map(|due_zone| due_zone.zone).collect()
            }
        };
        let next = |zone| moments::next(&schedule.timing, zone, after, 1).first().map(|moment| moment.at);
        Ok(zones.into_iter().filter_map(next).min())
    }

    /// Returns the moment up to which this schedule has been looked after, by this process or by another.
    async fn fire_one(&self, schedule: &Schedule) -> anyhow::Result<DateTime<Utc>> {
        let now = of(&self.loaded).watch.map(Watch::now);
        let now = now.context("the database's clock has not been read yet")?;
        let mut tx = self.queue.begin(&self.pg).await?;
        // Whoever has the row fires it.
        let Some(row) = store::schedules::try_lock(&mut tx, &schedule.name).await? else { return Ok(now) };
        // Another process has loaded another version since, or has seen the file go.
        if row.hash != schedule.hash || row.removed_at.is_some() {
            return Ok(now);
        }
        firing::fire(&mut tx, schedule, &row).await?;
        tx.commit().await?;
        let due_at = of(&self.loaded).schedules.get(&schedule.name).and_then(|(_, due_at)| *due_at);
        if let Some(late) = due_at.and_then(|due_at| (row.now - due_at).to_std().ok()) {
            self.lateness.add(late);
        }
        Ok(row.now)
    }

    /// Says which versions this process has.
    async fn tell(&self) -> anyhow::Result<()> {
        let hashes = serde_json::to_value(of(&self.loaded).hashes())?;
        let set_hash: String =
            Sha256::digest(hashes.to_string()).iter().map(|byte| format!("{byte:02x}")).collect();
        let mut conn = self.pg.acquire().await?;
        let zone_release = zones::rules().release().to_string();
        store::schedulers::note(&mut conn, &self.process, &set_hash, &hashes, &zone_release).await?;
        Ok(())
    }
}
