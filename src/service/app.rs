//! The service as a whole: put together, running, stopped.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agent::client::{Gateways, IDLE_TIMEOUT};
use anyhow::Context as _;
use channel::alerts::database::DatabaseWatch;
use channel::app::{App, Parts, Settings};
use channel::kinds::{PostCallback, Upkeep};
use channel::lanes;
use queue::Queue;
use queue::connections::Connections;
use queue::job::{Enqueued, Job, NewJob};
use queue::workers::RunningWorkers;
use rand::Rng as _;
use rand::distr::Alphanumeric;
use sandbox::Sandbox;
use secrecy::SecretString;
use sqlx::PgConnection;
use store::processes::Role;
use store::secret_keys::SecretKeys;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use twilio::account::Account;
use twilio::client::TwilioClient;
use url::Url;

use crate::config::Config;
use crate::database::Database;
use crate::http::health::{self, Health};
use crate::listeners::{Addresses, Listeners, Routes};
use crate::metrics::ProcessParts;
use crate::metrics::database_figures::DatabaseFigures;
use crate::process_watch::ProcessWatch;
use crate::scheduler::Scheduler;
use crate::serving::Stop;
use crate::{demo_user, http, metrics, service_manager, wiring};

/// A start and a handler wait this long for a connection.
const PATIENT_DATABASE_TIMEOUT: Duration = Duration::from_secs(30);

/// A program waits this long for a connection before it is told to try again.
const API_DATABASE_TIMEOUT: Duration = Duration::from_secs(5);

/// The queue's own statements wait this long for one.
const QUEUE_DATABASE_TIMEOUT: Duration = Duration::from_secs(10);

/// However short the grace of the jobs is, a request that has begun may end.
const LEAST_GRACE: Duration = Duration::from_secs(5);

/// For a webhook's answer behind the time that the database has.
const ANSWER_TIME: Duration = Duration::from_secs(1);

/// The service, running.
pub struct Service {
    addresses: Addresses,
    sandbox: Option<Sandbox>,
    /// `None`: this process runs no jobs.
    workers: Option<RunningWorkers>,
    serving: JoinHandle<()>,
    stop: Stop,
    /// For running jobs.
    grace: Duration,
    /// For requests that have begun.
    answer_grace: Duration,
    database: Database,
}

impl Service {
    /// Starts what this process is for: database, migrations, sandbox if there is one, workers, and last the way in.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        let (keys, roles) = (&config.keys, &config.roles);
        let database = Database::open(config).await?;
        database.wait_for_answer(PATIENT_DATABASE_TIMEOUT).await?;
        database.check_path(PATIENT_DATABASE_TIMEOUT).await?;
        let handlers = database.pool(keys.database.worker_connections, PATIENT_DATABASE_TIMEOUT);
        store::requirements::check(handlers.raw()).await?;
        database.bring_up_to_date().await?;
        // What people write from here on is ours to answer, also if this process dies before it has done anything else.
        store::cursors::get(&mut *handlers.acquire().await?, store::cursors::Cursor::FirstStart).await?;
        // Listening comes before anything is told our address; nothing is answered before the routes are there.
        let listeners = Listeners::bind(config).await?;
        let addresses = listeners.addresses()?;
        let webhooks = webhooks_address(config, addresses);
        // The sandbox is where its webhooks go; other processes call it there.
        let sandbox = match config.sandbox && roles.has(Role::Receiver) {
            true => Some(wiring::start_sandbox(config, webhooks).await?),
            false => None,
        };
        let of_queue = database.queue_pool(keys.database.queue_connections, QUEUE_DATABASE_TIMEOUT);
        let of_receiver = database.pool(keys.database.receiver_connections, keys.server.webhook_timeout);
        let of_api = database.pool(keys.database.api_connections, API_DATABASE_TIMEOUT);
        let queue = Queue::open(of_queue.clone(), config.keys.queue.clone());
        let settings = Arc::new(settings(config, webhooks, secret_keys(config, &handlers).await?));
        let twilio = match &sandbox {
            Some(sandbox) => client(config, sandbox.base_url().parse()?)?,
            None => client_of(config)?,
        };
        switch_callbacks(&handlers, &settings).await?;
        let workers = match roles.has(Role::Workers) {
            true => {
                let app = App::new(Parts {
                    pg: handlers.clone(),
                    queue: queue.clone(),
                    deployment: deployment(&handlers).await?,
                    twilio: twilio.clone(),
                    agent: config.agent.clone(),
                    gateways: Gateways::new(config.agent_hosts.clone(), IDLE_TIMEOUT)?,
                    settings: settings.clone(),
                });
                Some(wiring::start_workers(config, &queue, app).await.context("the workers cannot start")?)
            }
            false => None,
        };
        let scheduler = roles.has(Role::Scheduler).then(|| {
            let folder = keys.schedules.directory.clone();
            Scheduler::new(folder, queue.clone(), handlers.clone(), settings.clone())
        });
        // Of its own: whether the handlers are all busy is another question.
        let readiness = database.pool(1, health::READY_TIMEOUT);
        let database_watch = DatabaseWatch::new(readiness.clone(), queue.clone(), settings.clone());
        let process_watch =
            ProcessWatch::new(queue.clone(), handlers.clone(), settings.clone(), roles.clone());
        let metrics = ProcessParts {
            roles: roles.clone(),
            connections: vec![
                ("receiver", of_receiver.clone()),
                ("workers", handlers.clone()),
                ("queue", of_queue),
                ("api", of_api.clone()),
                ("readiness", readiness.clone()),
            ],
            workers: workers.as_ref().map(|workers| (workers.pulse(), workers.counts())),
            lateness: scheduler.as_ref().map(Scheduler::lateness),
            clock_lead: process_watch.clock_lead(),
        };
        let figures = DatabaseFigures::default();
        let stop = Stop::default();
        let health = Health {
            roles: roles.clone(),
            pg: readiness,
            workers: workers.as_ref().map(RunningWorkers::pulse),
            lease: keys.queue.lease,
            scheduler: scheduler.as_ref().map(Scheduler::pulse),
            stopping: stop.announced.clone(),
        };
        let stopping = stop.begun.clone();
        let console = wiring::console(config, addresses, of_api, settings.clone(), twilio, stopping)?;
        let routes = Routes {
            webhooks: roles.has(Role::Receiver).then(|| {
                let receiver = wiring::receiver(config, &queue, of_receiver, settings.clone());
                http::webhooks(receiver, keys.server.body_limit_bytes)
            }),
            health: http::health(health.clone()),
            metrics: metrics::routes(metrics, figures.clone()),
            private: console.private,
            dashboard: console.dashboard,
        };
        if workers.is_some() {
            let every = keys.alerts.settings.look_every.min(keys.backfill.every);
            tokio::spawn(keep_up(queue.clone(), every, stop.begun.clone()));
        }
        if let Some(scheduler) = scheduler {
            tokio::spawn(scheduler.run(stop.begun.clone()));
        }
        tokio::spawn(figures.run(handlers.clone(), stop.begun.clone()));
        tokio::spawn(database_watch.run(stop.begun.clone()));
        tokio::spawn(process_watch.run(stop.begun.clone()));
        let serving = listeners.serve(config, routes, stop.clone());
        if let Some(sandbox) = sandbox.as_ref().filter(|_| config.welcomes) {
            demo_user::welcome(&handlers, &settings, sandbox).await?;
        }
        service_manager::tell_ready(roles);
        tokio::spawn(service_manager::feed_watchdog(health));
        let grace = keys.server.shutdown_grace;
        let answer_grace = grace.max(LEAST_GRACE).max(keys.server.webhook_timeout + ANSWER_TIME);
        Ok(Self { addresses, sandbox, workers, serving, stop, grace, answer_grace, database })
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Where the sandbox listens, if there is one.
    #[must_use]
    pub fn sandbox_url(&self) -> Option<String> {
        self.sandbox.as_ref().map(Sandbox::base_url)
    }

    /// How a person opens the private database, if there is one.
    #[must_use]
    pub fn psql_line(&self) -> Option<String> {
        self.database.private.as_ref().map(|private| private.psql_line())
    }

    /// Says that it stops, and starts no more jobs; after `drain` takes in no more. Lets running jobs end within the grace time, hands the
    /// rest back.
    pub async fn stop(self, drain: Duration) -> anyhow::Result<()> {
        service_manager::tell_stopping();
        self.stop.announced.cancel();
        let no_more_is_taken_in = async {
            tokio::time::sleep(drain).await;
            self.stop.begun.cancel();
            tokio::time::timeout(self.answer_grace, self.serving).await
        };
        let jobs_have_ended = async {
            match self.workers {
                Some(workers) => workers.stop(self.grace).await,
                None => Ok(0),
            }
        };
        let (stopped, _) = tokio::join!(jobs_have_ended, no_more_is_taken_in);
        if let Some(sandbox) = self.sandbox {
            sandbox.stop().await;
        }
        let handed_back = stopped
            .context("the last jobs could not be handed back; they come back when the lease has run out")?;
        tracing::info!(jobs = handed_back, "Stopped; handed back {handed_back} jobs");
        Ok(())
    }
}

/// Where webhooks are taken in: here, or in another process with the same setting.
fn webhooks_address(config: &Config, addresses: Addresses) -> SocketAddr {
    addresses.public.filter(|_| config.roles.has(Role::Receiver)).unwrap_or(config.keys.server.listen)
}

/// Asks for a round of the upkeep at the start and every now and then; of several processes one does it.
async fn keep_up(queue: Queue, every: Duration, stop: CancellationToken) {
    let mut rounds = tokio::time::interval(every);
    let mut at_start = true;
    while stop.run_until_cancelled(rounds.tick()).await.is_some() {
        let asked = queue.enqueue(NewJob::of(&Upkeep { at_start }).unique_key(lanes::UPKEEP_KEY)).await;
        match asked {
            Ok(Enqueued::New(_)) => at_start = false,
            // A round that does not know of this start is asked for or under way.
            Ok(Enqueued::Duplicate) => {}
            Err(error) => {
                tracing::warn!(error = %error, "Could not ask for a round of the upkeep: {error}");
            }
        }
    }
}

/// The client for a command: it asks the sandbox of the service that runs, where there is one.
pub(crate) fn client_of(config: &Config) -> anyhow::Result<TwilioClient> {
    let sandbox = config.sandbox.then(|| format!("http://{}", config.keys.sandbox.listen).parse());
    client(config, sandbox.transpose()?.unwrap_or_else(|| config.twilio.account.api_base_url.clone()))
}

fn client(config: &Config, api_base_url: Url) -> anyhow::Result<TwilioClient> {
    let account = Account { api_base_url, ..config.twilio.account.clone() };
    TwilioClient::new(account).context("no HTTP client can be made on this machine")
}

/// What the product is told is enqueued by the database, if anybody is to be told.
async fn switch_callbacks(pg: &Connections, settings: &Settings) -> sqlx::Result<()> {
    let mut conn = pg.acquire().await?;
    if settings.callback_webhook.is_none() {
        return store::callbacks::switch_off(&mut conn).await;
    }
    let attempts = i16::try_from(PostCallback::MAX_ATTEMPTS).unwrap_or(i16::MAX);
    store::callbacks::switch_on(&mut conn, PostCallback::KIND, PostCallback::POOL, attempts).await
}

/// The random name of this deployment, made at the first start.
async fn deployment(pg: &Connections) -> anyhow::Result<String> {
    let fresh = format!("{:016x}", rand::rng().random::<u64>());
    Ok(store::deployment::name(&mut *pg.acquire().await?, &fresh).await?)
}

/// The keys to work with, once it is certain that no row hangs on another one.
pub(crate) async fn secret_keys(config: &Config, pg: &Connections) -> anyhow::Result<SecretKeys> {
    let mut conn = pg.acquire().await?;
    let keys = match present_keys(config, &mut conn).await? {
        Some(keys) => keys,
        None => {
            let fresh: String = rand::rng().sample_iter(Alphanumeric).take(48).map(char::from).collect();
            let fresh = SecretString::from(fresh);
            let kept = store::secret_keys::kept(&mut conn, &fresh).await?;
            SecretKeys::parse(&kept)
                .context("the database keeps an empty secret key; set CLOUDYBOT_SECRET_KEY")?
        }
    };
    store::keys_in_use::check_and_remember(&mut conn, &keys).await?;
    Ok(keys)
}

/// The keys that were given, and behind them the one that the database has kept for itself when none was given.
pub(crate) async fn present_keys(
    config: &Config,
    conn: &mut PgConnection,
) -> anyhow::Result<Option<SecretKeys>> {
    let kept = store::secret_keys::kept_if_any(conn).await?;
    Ok(match (&config.secret_keys, kept) {
        (Some(given), Some(kept)) => Some(given.clone().with_former(kept)),
        (Some(given), None) => Some(given.clone()),
        (None, kept) => kept.as_ref().and_then(SecretKeys::parse),
    })
}

pub(crate) fn settings(config: &Config, address: SocketAddr, secret_keys: SecretKeys) -> Settings {
    let keys = &config.keys;
    let public = config.twilio.public_url.as_ref().map(crate::public_url::PublicUrl::status_callback_url);
    // Without a public URL only the sandbox, on this machine, can reach us.
    let local = config.sandbox.then(|| format!("http://{address}/webhooks/whatsapp/status"));
    Settings {
        whatsapp_number: config.twilio.whatsapp_number.clone(),
        status_callback_url: if config.sandbox { local } else { public },
        agent: keys.agent.clone(),
        memory: config.memory,
        media: keys.media.clone(),
        whatsapp: keys.whatsapp.clone(),
        deliveries: keys.deliveries.clone(),
        sending: keys.twilio.sending.clone(),
        backfill: keys.backfill.clone(),
        human: keys.human.clone(),
        takeovers: keys.takeovers,
        compliance: keys.compliance.clone(),
        costs: keys.costs.clone(),
        retention: keys.retention.clone(),
        metering: keys.metering.clone(),
        plans: config.plans.clone(),
        limits: keys.limits,
        moderation: config.moderation.clone(),
        agent_hosts: config.agent_hosts.clone(),
        alerts: keys.alerts.settings.clone(),
        alert_webhook: config.alert_webhook.clone(),
        callback_webhook: config.callback_webhook.clone(),
        secret_keys,
    }
}
