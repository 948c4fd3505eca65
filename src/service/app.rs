//! The service as a whole: put together, running, stopped.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agent::client::{Gateways, IDLE_TIMEOUT};
use anyhow::Context as _;
use axum::Router;
use channel::alerts::database::DatabaseWatch;
use channel::app::{App, Parts, Settings};
use channel::inbound::batcher::Batcher;
use channel::kinds::{PostCallback, Upkeep};
use channel::lanes;
use queue::Queue;
use queue::connections::Connections;
use queue::job::{Enqueued, Job, NewJob};
use queue::workers::{RunningWorkers, Workers};
use rand::Rng as _;
use rand::distr::Alphanumeric;
use sandbox::Sandbox;
use secrecy::SecretString;
use sqlx::PgConnection;
use store::secret_keys::SecretKeys;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use twilio::account::Account;
use twilio::client::TwilioClient;
use twilio::webhook::SignatureCheck;
use url::Url;

use crate::config::{Config, TwilioAccess};
use crate::database::Database;
use crate::demo_user;
use crate::http::admin::{self, Admin};
use crate::http::bearer::BearerToken;
use crate::http::health::{self, Health};
use crate::http::product::threads::Threads;
use crate::http::product::{self, Product};
use crate::http::{self, Receiver, ReceiverParts, openapi};
use crate::listeners::{Addresses, Listeners, Routes};
use crate::scheduler::Scheduler;

/// A start and a handler wait this long for a connection.
const PATIENT_DATABASE_TIMEOUT: Duration = Duration::from_secs(30);

/// A program waits this long for a connection before it is told to try again.
const API_DATABASE_TIMEOUT: Duration = Duration::from_secs(5);

/// However short the grace of the jobs is, a request that has begun may end.
const LEAST_GRACE: Duration = Duration::from_secs(5);

/// The service, running.
pub struct Service {
    addresses: Addresses,
    sandbox: Option<Sandbox>,
    workers: RunningWorkers,
    serving: JoinHandle<()>,
    stop_serving: CancellationToken,
    grace: Duration,
    database: Database,
}

impl Service {
    /// Starts everything: database, migrations, sandbox if there is one, workers, and last the way in.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        let keys = &config.keys;
        let database = Database::open(config).await?;
        database.wait_for_answer(PATIENT_DATABASE_TIMEOUT).await?;
        database.check_path(PATIENT_DATABASE_TIMEOUT).await?;
        let handlers = database.pool(keys.database.worker_connections, PATIENT_DATABASE_TIMEOUT);
        store::requirements::check(handlers.raw()).await?;
        database.bring_up_to_date().await?;
        // What people write from here on is ours to answer, also if this process dies before it has done anything else.
        store::cursors::get(&mut *handlers.acquire().await?, store::cursors::Cursor::FirstStart).await?;
        // Listening comes before anything is told our address; nothing is answered before the routes are there.
        let listeners = Listeners::bind(keys).await?;
        let addresses = listeners.addresses()?;
        let address = addresses.public;
        let sandbox = if config.sandbox { Some(start_sandbox(config, address).await?) } else { None };
        let queue = Queue::open(
            database.queue_pool(keys.database.queue_connections, Duration::from_secs(10)),
            config.keys.queue.clone(),
        );
        let api_base_url = sandbox
            .as_ref()
            .map_or(Ok(config.twilio.account.api_base_url.clone()), |sandbox| sandbox.base_url().parse())?;
        let settings = Arc::new(settings(config, address, secret_keys(config, &handlers).await?));
        let twilio = client(config, api_base_url)?;
        switch_callbacks(&handlers, &settings).await?;
        let app = App::new(Parts {
            pg: handlers.clone(),
            queue: queue.clone(),
            deployment: deployment(&handlers).await?,
            twilio: twilio.clone(),
            agent: config.agent.clone(),
            gateways: Gateways::new(config.agent_hosts.clone(), IDLE_TIMEOUT)?,
            settings: settings.clone(),
        });
        let workers = start_workers(config, &queue, app).await.context("the workers cannot start")?;
        let receiver = receiver(config, &queue, &database, settings.clone());
        // Of its own: whether the handlers are all busy is another question.
        let readiness = database.pool(1, health::READY_TIMEOUT);
        let watch = DatabaseWatch::new(readiness.clone(), queue.clone(), settings.clone());
        let health = Health { pg: readiness, pulse: workers.pulse(), lease: keys.queue.lease };
        let stop_serving = CancellationToken::new();
        let routes = Routes {
            webhooks: http::webhooks(receiver, keys.server.body_limit_bytes),
            health: http::health(health),
            private: api(config, &database, settings.clone(), twilio, stop_serving.clone())?,
        };
        let every = keys.alerts.settings.look_every.min(keys.backfill.every);
        tokio::spawn(keep_up(queue.clone(), every, stop_serving.clone()));
        let scheduler = Scheduler::new(
            keys.schedules.directory.clone(),
            queue.clone(),
            handlers.clone(),
            settings.clone(),
        );
        tokio::spawn(scheduler.run(stop_serving.clone()));
        tokio::spawn(watch.run(stop_serving.clone()));
        let serving = listeners.serve(config, routes, stop_serving.clone());
        if let Some(sandbox) = sandbox.as_ref().filter(|_| config.welcomes) {
            demo_user::welcome(&handlers, &settings, sandbox).await?;
        }
        let grace = keys.server.shutdown_grace;
        Ok(Self { addresses, sandbox, workers, serving, stop_serving, grace, database })
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

    /// Takes in no more, lets running jobs end within the grace time, hands the rest back.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop_serving.cancel();
        let grace = self.grace.max(LEAST_GRACE);
        let (stopped, _) =
            tokio::join!(self.workers.stop(self.grace), tokio::time::timeout(grace, self.serving));
        if let Some(sandbox) = self.sandbox {
            sandbox.stop().await;
        }
        let handed_back = stopped
            .context("the last jobs could not be handed back; they come back when the lease has run out")?;
        tracing::info!(jobs = handed_back, "Stopped; handed back {handed_back} jobs");
        Ok(())
    }
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

async fn start_sandbox(config: &Config, service: SocketAddr) -> anyhow::Result<Sandbox> {
    let TwilioAccess { account, whatsapp_number, .. } = &config.twilio;
    let settings = sandbox::settings::SandboxSettings {
        options: config.keys.sandbox.clone(),
        account_sid: account.account_sid.clone(),
        auth_token: account.auth_token.clone(),
        api_key: account.api_key.clone().map(|key| (key.sid, key.secret)),
        whatsapp_number: whatsapp_number.clone(),
        // The retries that the README recommends for the real webhook.
        webhook_url: format!("http://{service}/webhooks/whatsapp#rc=5&rp=all"),
        journal: Some(config.keys.database.data_directory.join("sandbox.jsonl")),
        seed: 1,
    };
    Ok(Sandbox::start(settings).await?)
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

async fn start_workers(config: &Config, queue: &Queue, app: App) -> anyhow::Result<RunningWorkers> {
    let mut workers = Workers::new(queue, app).version(env!("CARGO_PKG_VERSION"));
    for (name, pool) in config.keys.pools.named() {
        workers = workers.pool(name, pool.concurrency, pool.timeout);
    }
    Ok(jobs::register(workers).start().await?)
}

/// The interface for programs and administrators, on connections of its own.
fn api(
    config: &Config,
    database: &Database,
    settings: Arc<Settings>,
    twilio: TwilioClient,
    stop: CancellationToken,
) -> serde_json::Result<Router> {
    let pg = database.pool(config.keys.database.api_connections, API_DATABASE_TIMEOUT);
    let queue = Queue::open(pg.clone(), config.keys.queue.clone());
    let threads = Threads::start(pg.clone(), stop);
    let admin = Admin {
        pg: pg.clone(),
        queue: queue.clone(),
        settings: settings.clone(),
        agent: config.agent.clone(),
        twilio,
        schedules: config.keys.schedules.directory.as_path().into(),
    };
    let product = Product { pg, queue, settings, threads };
    let product = product::routes(product, BearerToken::new(openapi::PRODUCT.prefix, &config.api_token()))?;
    let admin = admin::routes(admin, BearerToken::new(openapi::ADMIN.prefix, &config.admin_token()))?;
    openapi::described(product.merge(admin))
}

fn receiver(config: &Config, queue: &Queue, database: &Database, settings: Arc<Settings>) -> Receiver {
    let twilio = &config.twilio;
    let database_timeout = config.keys.server.webhook_timeout;
    let check = if twilio.skip_signature {
        SignatureCheck::Skipped
    } else {
        SignatureCheck::Required(twilio.signing_keys.clone())
    };
    let pg = database.pool(config.keys.database.receiver_connections, database_timeout);
    Receiver(Arc::new(ReceiverParts {
        // What goes wrong together is tried alone, for which time must be left.
        together: Batcher::start(queue.clone(), pg.clone(), database_timeout / 2),
        pg,
        queue: queue.clone(),
        settings,
        signature: check,
        // The sandbox calls us at our own address, whatever the world is told.
        public_url: twilio.public_url.clone().filter(|_| !config.sandbox),
        account_sid: twilio.account.account_sid.clone(),
        whatsapp_number: twilio.whatsapp_number.clone(),
        database_timeout,
    }))
}
