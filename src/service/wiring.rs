//! The parts of the service that face somebody, each put together from the configuration.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use channel::app::{App, Settings};
use channel::inbound::batcher::Batcher;
use queue::Queue;
use queue::connections::Connections;
use queue::workers::{RunningWorkers, Workers};
use sandbox::Sandbox;
use store::processes::Role;
use tokio_util::sync::CancellationToken;
use twilio::client::TwilioClient;
use twilio::webhook::SignatureCheck;

use crate::config::{Config, Environment, TwilioAccess};
use crate::http::admin::{self, Admin};
use crate::http::bearer::BearerTokens;
use crate::http::product::threads::Threads;
use crate::http::product::{self, Product};
use crate::http::{Receiver, ReceiverParts, openapi};
use crate::listeners::Addresses;
use crate::{console, dashboard};

/// The built-in Twilio, whose webhooks go to this address.
pub(crate) async fn start_sandbox(config: &Config, service: SocketAddr) -> anyhow::Result<Sandbox> {
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

/// The workers, with every kind of job.
pub(crate) async fn start_workers(
    config: &Config,
    queue: &Queue,
    app: App,
) -> anyhow::Result<RunningWorkers> {
    let mut workers = Workers::new(queue, app).version(env!("CARGO_PKG_VERSION"));
    for (name, pool) in config.keys.pools.named() {
        workers = workers.pool(name, pool.concurrency, pool.timeout);
    }
    Ok(jobs::register(workers).start().await?)
}

/// What programs, administrators and people's browsers have; of a process that is no console nothing.
#[derive(Default)]
pub(crate) struct ConsoleRoutes {
    /// The interface, and administrators' pages.
    pub(crate) private: Option<Router>,
    /// People's page; `None`: it has no address here.
    pub(crate) dashboard: Option<Router>,
}

/// The interface for programs and administrators and the pages, on connections of their own.
pub(crate) fn console(
    config: &Config,
    addresses: Addresses,
    pg: Connections,
    settings: Arc<Settings>,
    twilio: TwilioClient,
    stop: CancellationToken,
) -> anyhow::Result<ConsoleRoutes> {
    if !config.roles.has(Role::Console) {
        return Ok(ConsoleRoutes::default());
    }
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
    let served_at = dashboard_address(config, addresses);
    let dashboard_url = config.dashboard.own.clone().or(served_at.map(|address| format!("http://{address}")));
    let product = Product { pg, queue, settings, threads, dashboard_url: dashboard_url.map(Arc::from) };
    let dashboard = match served_at {
        Some(_) => Some(dashboard::routes(product.clone(), &config.dashboard, offers_users(config))?),
        None => None,
    };
    let product = product::routes(product, BearerTokens::one(openapi::PRODUCT.prefix, config.api_token()))?;
    let administrators = BearerTokens::new(openapi::ADMIN.prefix, config.administrators());
    let pages = console::routes(admin.clone(), administrators.clone(), &config.keys.server.origins)?;
    let admin = admin::routes(admin, administrators)?;
    let private = openapi::described(product.merge(admin))?.merge(pages);
    Ok(ConsoleRoutes { private: Some(private), dashboard })
}

/// Where the dashboard is served: on its own address, or else in development on the one of the webhooks.
pub(crate) fn dashboard_address(config: &Config, addresses: Addresses) -> Option<SocketAddr> {
    let shared = addresses.public.filter(|_| config.environment == Environment::Development);
    addresses.dashboard.or(shared).filter(|_| config.roles.has(Role::Console))
}

/// Whether anybody may be any user on the dashboard: where everything is a stand-in, on a developer's machine.
fn offers_users(config: &Config) -> bool {
    config.environment == Environment::Development && config.sandbox
}

/// Twilio's way in, on connections of its own.
pub(crate) fn receiver(config: &Config, queue: &Queue, pg: Connections, settings: Arc<Settings>) -> Receiver {
    let twilio = &config.twilio;
    let database_timeout = config.keys.server.webhook_timeout;
    let check = if twilio.skip_signature {
        SignatureCheck::Skipped
    } else {
        SignatureCheck::Required(twilio.signing_keys.clone())
    };
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
