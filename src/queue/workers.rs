//! The workers of a process: which pools and kinds it serves, from start to stop.

use std::sync::Arc;
use std::time::Duration;

use apalis::prelude::{Monitor, WorkerBuilder};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::Queue;
use crate::attempt::Attempt;
use crate::attempt_counts::AttemptCounts;
use crate::failure::Failure;
use crate::job::Job;
use crate::registry::Registry;
use crate::worker::attempt_layer::AttemptLayer;
use crate::worker::backend::PoolBackend;
use crate::worker::completer::Completer;
use crate::worker::dispatch::Dispatch;
use crate::worker::pool::PoolState;
use crate::worker::process::{Abilities, WorkerProcess};
use crate::worker::{listener, maintenance, poller};

/// Collects pools and kinds; nothing runs before [`Workers::start`].
pub struct Workers<App> {
    queue: Queue,
    app: App,
    registry: Registry,
    pools: Vec<Arc<PoolState>>,
    version: Option<&'static str>,
}

impl<App: Clone + Send + Sync + 'static> Workers<App> {
    /// No pools and no kinds yet. Every handler gets a clone of `app`.
    pub fn new(queue: &Queue, app: App) -> Self {
        Self { queue: queue.clone(), app, registry: Registry::default(), pools: Vec::new(), version: None }
    }

    /// Says which version of the program this is, for people who look at the processes.
    #[must_use]
    pub fn version(mut self, version: &'static str) -> Self {
        self.version = Some(version);
        self
    }

    /// Serves a pool: at most `concurrency` of its jobs run at a time in this process, each for `timeout` at most.
    #[must_use]
    pub fn pool(mut self, name: impl Into<String>, concurrency: usize, timeout: Duration) -> Self {
        self.pools.push(Arc::new(PoolState::new(name.into(), concurrency, timeout)));
        self
    }

    /// Registers the function that runs jobs of a kind. A job may run again after a crash, so each effect of `run` is
    /// either repeatable or committed together with the job's completion by [`Attempt::complete_and_commit`].
    ///
    /// # Panics
    /// When a kind of that name is registered already.
    #[must_use]
    pub fn register<J, Run, Running>(mut self, run: Run) -> Self
    where
        J: Job,
        Run: Fn(J, App, Attempt) -> Running + Send + Sync + 'static,
        Running: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        self.registry.add(&self.app, run);
        self
    }

    /// Publishes the kinds, takes a lease and starts the workers.
    ///
    /// # Errors
    /// When a kind has no pool here or a follow-up that is not registered, and when the database does not answer now.
    /// Later outages are waited out.
    pub async fn start(self) -> Result<RunningWorkers, StartError> {
        self.check()?;
        let mut conn = self.queue.pool().acquire().await?;
        self.registry.publish(&mut conn).await?;
        drop(conn);
        let process = WorkerProcess::new(self.queue.clone(), process_name(), self.abilities());
        process.register().await;
        let (completer, completing) = Completer::start(self.queue.clone());
        for pool in &self.pools {
            self.queue.notifier().attach(pool.clone());
        }
        let stop = CancellationToken::new();
        let tasks = vec![
            tokio::spawn(process.clone().keep_lease(stop.clone())),
            tokio::spawn(poller::poll(process.clone(), self.pools.clone(), stop.clone())),
            tokio::spawn(listener::listen(process.clone(), stop.clone())),
            tokio::spawn(maintenance::prune_history(process.clone(), stop.clone())),
            tokio::spawn(maintenance::repair(process.clone(), self.pools.clone(), stop.clone())),
        ];
        let counts = Arc::new(AttemptCounts::of(self.registry.names()));
        let monitor = monitor(&self.pools, &process, &Arc::new(self.registry), &completer, &counts);
        let working = tokio::spawn(async move {
            if let Err(error) = monitor.run().await {
                tracing::error!(error = %error, "The workers ended: {error}");
            }
        });
        Ok(RunningWorkers {
            queue: self.queue,
            process,
            pools: self.pools,
            counts,
            stop,
            tasks,
            working,
            completing,
            _completer: completer,
        })
    }
}

impl<App> Workers<App> {
    fn abilities(&self) -> Abilities {
        let pools = self.pools.iter().map(|pool| (pool.name.clone(), pool.concurrency)).collect();
        Abilities { version: self.version, kinds: self.registry.names(), pools }
    }

    /// Every registered kind has a pool and its follow-up: otherwise its jobs would wait for ever.
    fn check(&self) -> Result<(), StartError> {
        for (kind, pool) in self.registry.pools() {
            if !self.pools.iter().any(|served| *served.name == *pool) {
                return Err(StartError::NoPool { kind, pool });
            }
        }
        for (kind, follow_up) in self.registry.follow_ups() {
            if self.registry.get(follow_up).is_none() {
                return Err(StartError::NoFollowUp { kind, follow_up });
            }
        }
        Ok(())
    }
}

/// Why workers did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A registered kind belongs to a pool that this process does not serve.
    #[error(
        "jobs of kind {kind} run in the pool {pool}, which these workers do not serve: add it, or do not register the kind"
    )]
    NoPool {
        /// The kind.
        kind: &'static str,
        /// Its pool.
        pool: &'static str,
    },
    /// A registered kind has a follow-up that is not registered.
    #[error("jobs of kind {kind} are followed by {follow_up}, which is not registered")]
    NoFollowUp {
        /// The kind.
        kind: &'static str,
        /// What follows it.
        follow_up: &'static str,
    },
    /// The database refused or was away.
    #[error("cannot start the workers: {0}")]
    Database(#[from] sqlx::Error),
}

/// One apalis worker for each pool.
fn monitor(
    pools: &[Arc<PoolState>],
    process: &Arc<WorkerProcess>,
    registry: &Arc<Registry>,
    completer: &Completer,
    counts: &Arc<AttemptCounts>,
) -> Monitor {
    // A backend that cannot fail leaves only a panic inside apalis itself to end a worker; then it starts again.
    let mut monitor = Monitor::new().should_restart(|worker, error| {
        tracing::error!(error = %error, "Worker {} ended and starts again: {error}", worker.name());
        true
    });
    for pool in pools {
        let (pool, process, registry, completer, counts) =
            (pool.clone(), process.clone(), registry.clone(), completer.clone(), counts.clone());
        monitor = monitor.register(move |_| {
            let attempts = AttemptLayer {
                pool: pool.clone(),
                registry: registry.clone(),
                completer: completer.clone(),
                cancel_grace: process.queue.settings().cancel_grace,
                counts: counts.clone(),
            };
            WorkerBuilder::new(&*pool.name)
                .backend(PoolBackend::new(process.clone(), pool.clone(), completer.clone()))
                .layer(attempts)
                .build(Dispatch { registry: registry.clone() })
        });
    }
    monitor
}

/// Workers at work. Dropping it stops nothing: call [`RunningWorkers::stop`].
pub struct RunningWorkers {
    queue: Queue,
    process: Arc<WorkerProcess>,
    pools: Vec<Arc<PoolState>>,
    counts: Arc<AttemptCounts>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    working: JoinHandle<()>,
    completing: JoinHandle<()>,
    _completer: Completer,
}

impl RunningWorkers {
    /// A view of the workers' liveness, for health checks.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        Pulse(self.process.clone())
    }

    /// How this process's attempts have ended so far.
    #[must_use]
    pub fn counts(&self) -> Arc<AttemptCounts> {
        self.counts.clone()
    }

    /// Stops claiming, gives running jobs `grace` to end, and hands the rest back at once, which costs them no attempt.
    /// Returns how many were handed back.
    ///
    /// # Errors
    /// When the database is away at the end: the jobs come back when the lease has run out.
    pub async fn stop(mut self, grace: Duration) -> sqlx::Result<i32> {
        for pool in &self.pools {
            pool.close();
        }
        self.queue.notifier().detach(&self.pools);
        if tokio::time::timeout(grace, &mut self.working).await.is_err() {
            tracing::warn!("Jobs still run after the grace time of {grace:?}; handing them back");
            self.working.abort();
            let _ = (&mut self.working).await;
        }
        // The last senders are gone with the workers: the completer ends when everything is written.
        drop(self._completer);
        let flushed =
            tokio::time::timeout(self.queue.settings().statement_timeout, &mut self.completing).await;
        if flushed.is_err() {
            tracing::warn!("The database did not take all completions before the stop");
        }
        self.stop.cancel();
        for task in self.tasks {
            let _ = task.await;
        }
        self.process.deregister().await
    }
}

/// Whether the workers still live.
#[derive(Clone)]
pub struct Pulse(Arc<WorkerProcess>);

impl Pulse {
    /// How long ago the lease was last renewed. More than the lease: this process works no more, whatever else it does.
    #[must_use]
    pub fn silent_for(&self) -> Duration {
        self.0.silent_for()
    }

    /// Whether the lease lasts, by this process's own clock.
    #[must_use]
    pub fn has_lease(&self) -> bool {
        self.0.lease().is_some() && self.silent_for() <= self.0.queue.settings().lease
    }
}

/// What people see as a process's name: host and process id.
#[must_use]
pub fn process_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::env::var("HOSTNAME").map_err(std::io::Error::other));
    let host = host.map_or_else(|_| "localhost".to_owned(), |name| name.trim().to_owned());
    format!("{host}:{}", std::process::id())
}
