//! `cloudybot check`: what is wrong, and how to mend it.

use std::time::Duration;

use agent::Agent;
use agent::error::AgentError;
use agent::memory::MemoryKeeper;
use channel::inbound::changed_ids;
use channel::outbound::sender;
use channel::pools;
use channel::schedules::{schedule_file, zones};
use channel::unknown_kinds;
use chrono::SecondsFormat;
use queue::connections::Connections;
use queue::pauses::{self, Pause, Scope};
use queue::pooler::Route;
use store::allowances::Audit;
use store::changed_ids::Undecided;
use store::keys_in_use;
use twilio::account::Account;
use twilio::client::{LookupError, TwilioClient};
use twilio::message_list::ListFilter;

use crate::commands::keys;
use crate::config::{Config, Environment};
use crate::database::Database;
use crate::schedules::findings::{self, Findings};
use crate::zone_rules::ZoneReport;
use crate::{app, own_clock, public_url};

/// One thing that was looked at.
pub(crate) struct Finding {
    pub(crate) what: &'static str,
    pub(crate) result: Result<String, String>,
}

/// Everything that was looked at.
pub(crate) struct Report {
    pub(crate) findings: Vec<Finding>,
    /// What works and should be mended all the same.
    pub(crate) warnings: Vec<String>,
}

/// Allowances that are recomputed unless all are asked for.
const ALLOWANCES: i64 = 10_000;

/// Looks at everything; the configuration itself is valid, or nobody would get here.
pub(crate) async fn run(config: &Config, every_allowance: bool) -> Report {
    let environment =
        if config.environment == Environment::Production { "production" } else { "development" };
    let mut findings = vec![
        Finding { what: "configuration", result: Ok(format!("valid, {environment}")) },
        Finding { what: "schedules", result: schedules(config) },
        Finding { what: "time zones", result: Ok(zones::rules().to_string()) },
    ];
    let of_database = of_database(config, every_allowance).await;
    findings.extend(of_database.findings);
    findings.push(Finding { what: "agent", result: agent(config).await });
    findings.push(Finding { what: "twilio", result: twilio(config).await });
    findings.push(Finding { what: "webhook address", result: webhook_address(config) });
    Report { findings, warnings: of_database.warnings }
}

/// What the database says; the rest of it only where it is in order.
async fn of_database(config: &Config, every_allowance: bool) -> Report {
    // Without the database's clock the age of the time zone rules is not judged.
    let mut warnings = zones::rules().warnings(None);
    let database = match Database::open(config).await {
        Ok(database) => database,
        Err(error) => return Report { findings: vec![unusable(format!("{error:#}"))], warnings },
    };
    let patience = Duration::from_secs(5);
    let path = match database.check_path(patience).await {
        Ok(path) => path,
        Err(error) => {
            let error = unusable(format!("{:#}", anyhow::Error::new(error)));
            return Report { findings: vec![error], warnings };
        }
    };
    let pg = database.pool(1, patience);
    let in_order = self::database(config, &database, path, &pg).await;
    let mut findings = Vec::new();
    if in_order.is_ok() {
        let keys = secret_keys(config, &pg).await.map_err(|error| format!("{error:#}"));
        findings.push(Finding { what: "secret keys", result: keys });
        findings.push(Finding { what: "allowances", result: allowances(&pg, every_allowance).await });
        findings.push(Finding { what: "jobs", result: jobs(&pg).await });
        findings.push(Finding { what: "whatsapp ids", result: people(&pg).await });
        findings.push(Finding { what: "clock", result: clock(&pg).await });
        warnings = zone_warnings(&pg).await.unwrap_or(warnings);
    }
    findings.insert(0, Finding { what: "database", result: in_order });
    Report { findings, warnings }
}

fn unusable(error: String) -> Finding {
    Finding { what: "database", result: Err(error) }
}

async fn zone_warnings(pg: &Connections) -> sqlx::Result<Vec<String>> {
    Ok(ZoneReport::read(&mut *pg.acquire().await?).await?.warnings)
}

/// Whether this machine and the database agree about the time.
async fn clock(pg: &Connections) -> Result<String, String> {
    let mut conn = pg.acquire().await.map_err(in_words)?;
    let (_, lead) = own_clock::read(&mut conn).await.map_err(in_words)?;
    if lead.is_too_large() { Err(lead.to_string()) } else { Ok("as the database's".to_owned()) }
}

/// What keeps jobs from being done, and what helps.
async fn jobs(pg: &Connections) -> Result<String, String> {
    let mut conn = pg.acquire().await.map_err(in_words)?;
    let pauses = pauses::all(&mut conn).await.map_err(in_words)?;
    let mut wrong: Vec<String> = pauses
        .iter()
        .filter(|pause| pause.scope == Scope::Pool && pools::SENDING.contains(&pause.name.as_str()))
        .map(|Pause { name, paused_at, paused_by, .. }| {
            let since = paused_at.format("%Y-%m-%d %H:%M:%SZ");
            if paused_by == sender::ACTOR {
                format!(
                    "pool {name} is paused since {since}, since Twilio refused our account or sender: mend what the alert sender_refused \
                     tells, then `cloudybot jobs probe`"
                )
            } else {
                format!("pool {name} is paused since {since} by {paused_by}: `cloudybot jobs resume pool {name}`")
            }
        })
        .collect();
    let unknown = queue::unknown_kinds::since(&mut conn, unknown_kinds::PATIENCE).await.map_err(in_words)?;
    if !unknown.is_empty() {
        wrong.push(unknown_kinds::in_words(&unknown));
    }
    if !wrong.is_empty() {
        return Err(wrong.join("; "));
    }
    Ok(format!("sending is not held back; {} other pauses", pauses.len()))
}

/// Whether the sender seems to have moved to another business portfolio.
async fn people(pg: &Connections) -> Result<String, String> {
    let mut conn = pg.acquire().await.map_err(in_words)?;
    let Some(moved) = store::changed_ids::undecided(&mut conn).await.map_err(in_words)? else {
        return Ok("no move of the sender waits for a decision".to_owned());
    };
    let Undecided { since, held, let_through, .. } = moved;
    let since = since.to_rfc3339_opts(SecondsFormat::Secs, true);
    Err(format!(
        "since {since} the numbers of {} linked people came with other WhatsApp ids ({held} links are held back): {}",
        held + let_through,
        changed_ids::REMEDY
    ))
}

fn in_words(error: sqlx::Error) -> String {
    error.to_string()
}

async fn agent(config: &Config) -> Result<String, String> {
    match config.agent.check().await {
        Ok(()) if matches!(config.agent, Agent::Echo) => {
            Ok("the built-in echo agent; set OPENCLAW_BASE_URL for a gateway".to_owned())
        }
        Ok(()) => Ok(format!("{} takes turns; {}", config.agent.name(), memory(config).await)),
        Err(error @ (AgentError::Unavailable { .. } | AgentError::Broken(_) | AgentError::TimedOut(_))) => {
            Err(format!("{error}: check OPENCLAW_BASE_URL, and whether the gateway runs"))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Who keeps the history of conversations, and how that is known.
async fn memory(config: &Config) -> String {
    let (keeper, by) = match config.memory.keeper {
        Some(keeper) => (Some(keeper), "as openclaw.memory says"),
        None => (config.agent.memory_keeper().await.ok().flatten(), "by its list of models"),
    };
    match keeper {
        Some(MemoryKeeper::Gateway) => format!("it keeps the history of conversations, {by}"),
        Some(MemoryKeeper::Thread) => format!("it keeps no history, {by}, so the thread goes along with each turn"),
        None => "it does not tell whether it keeps the history of conversations, so the thread goes along with each turn; openclaw.memory decides".to_owned(),
    }
}

/// What hangs on which key, and which one can go.
async fn secret_keys(config: &Config, pg: &Connections) -> anyhow::Result<String> {
    let mut conn = pg.acquire().await?;
    let Some(keys) = app::present_keys(config, &mut conn).await? else {
        return Ok("none yet; the database makes one for itself at the first start".to_owned());
    };
    keys_in_use::check(&mut conn, &keys).await?;
    let uses = keys_in_use::uses(&mut conn).await?;
    let told: Vec<String> = keys::with_idle_ones(&keys, uses)
        .iter()
        .enumerate()
        .map(|(index, used)| {
            let name = &used.fingerprint;
            match index {
                index if index >= keys.fingerprints().len() => format!("key {name}, not given: {used}"),
                0 => format!("key {name}, the newest: {used}"),
                _ if used.is_idle() => format!("key {name}: nothing hangs on it, it can go"),
                _ => format!("key {name}: {used}"),
            }
        })
        .collect();
    Ok(told.join("; "))
}

fn schedules(config: &Config) -> Result<String, String> {
    let directory = &config.keys.schedules.directory;
    let folder = schedule_file::read_folder(directory)
        .map_err(|error| format!("cannot read {}: {error}", directory.display()))?;
    let found = Findings::of_files(&folder, &config.plans);
    if !found.wrong.is_empty() {
        return Err(found.wrong.join("; "));
    }
    let on = folder.schedules.iter().filter(|schedule| schedule.definition.enabled).count();
    let warnings: String = found.warnings.iter().map(|warning| format!("; warning: {warning}")).collect();
    Ok(format!("{}, {on} switched on{warnings}", findings::files(folder.schedules.len())))
}

async fn database(
    config: &Config,
    database: &Database,
    path: Route,
    pg: &Connections,
) -> Result<String, String> {
    let max: String = sqlx::query_scalar("SHOW max_connections")
        .fetch_one(pg.raw())
        .await
        .map_err(|error| format!("does not answer: {error}; check DATABASE_URL"))?;
    store::requirements::check(pg.raw()).await.map_err(|error| error.to_string())?;
    let missing = store::migrations::missing(&database.direct())
        .await
        .map_err(|error| format!("does not answer: {error}; check DATABASE_URL and database.direct_url"))?;
    let keys = &config.keys.database;
    // One for LISTEN, one for /readyz.
    let wanted = keys.receiver_connections
        + keys.worker_connections
        + keys.queue_connections
        + keys.api_connections
        + 2;
    let allowed: u32 = max.parse().unwrap_or(u32::MAX);
    if wanted > allowed {
        return Err(format!(
            "one process may open {wanted} connections, the server allows {allowed}: lower database.*_connections or raise max_connections"
        ));
    }
    if missing > 0 {
        return Err(format!(
            "{missing} changes of the tables or functions are missing: run `cloudybot migrate`, or just start the service"
        ));
    }
    let place = database.private.as_ref().map_or_else(
        || "up to date".to_owned(),
        |private| format!("private, PostgreSQL {}, up to date", private.version()),
    );
    let way = match path {
        Route::Direct => "",
        Route::Pooled => ", through a pooler in transaction mode, past which database.direct_url leads",
    };
    Ok(format!("{place}{way}; a process opens up to {wanted} of {allowed} connections"))
}

/// Whether allowances are what their ledger says.
async fn allowances(pg: &Connections, every_one: bool) -> Result<String, String> {
    let mut conn = pg.acquire().await.map_err(|error| error.to_string())?;
    let at_most = if every_one { i64::MAX } else { ALLOWANCES };
    let Audit { drift, recomputed, of_about } =
        store::allowances::audit(&mut conn, at_most).await.map_err(|error| error.to_string())?;
    let of = of_about.map(|all| format!(" of about {all}, taken at random (--every-allowance: all)"));
    let looked_at = format!("{recomputed}{}", of.unwrap_or_default());
    match drift.first() {
        None => Ok(format!("as their ledger says: {looked_at}")),
        Some(first) => Err(format!(
            "{} of {looked_at} differ from their ledger, user {} for one: {}; see whatsapp_sends and whatsapp_send_ledger",
            drift.len(),
            first.user_id,
            first.detail
        )),
    }
}

async fn twilio(config: &Config) -> Result<String, String> {
    if config.sandbox {
        return Ok("the built-in sandbox; set TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and TWILIO_WHATSAPP_NUMBER for the real one".to_owned());
    }
    let account = Account { request_timeout: Duration::from_secs(10), ..config.twilio.account.clone() };
    let client = TwilioClient::new(account).map_err(|error| error.to_string())?;
    match client.list_messages(&ListFilter { at_most: Some(1), ..ListFilter::default() }).await {
        Ok(_) => Ok("the credentials are accepted".to_owned()),
        Err(LookupError::Refused { status: 401, .. }) => {
            let checked = match &config.twilio.account.api_key {
                None => "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN",
                Some(_) => {
                    "TWILIO_ACCOUNT_SID, TWILIO_API_KEY and TWILIO_API_SECRET, and that the key is of this account"
                }
            };
            Err(format!("the credentials are refused: check {checked}"))
        }
        Err(LookupError::Refused { status: 404, .. }) => {
            Err("the account is unknown: check TWILIO_ACCOUNT_SID".to_owned())
        }
        Err(error) => Err(format!("{error}: check TWILIO_API_BASE_URL and the way to it")),
    }
}

fn webhook_address(config: &Config) -> Result<String, String> {
    match &config.twilio.public_url {
        Some(public_url) => {
            let keys: Vec<&str> = config.twilio.signing_keys.webhook_keys.ids().collect();
            let signed = match keys.as_slice() {
                [] => "the auth token".to_owned(),
                keys => format!(
                    "the auth token or the shared key {}; a webhook Setting at Twilio replaces #rc=5&rp=all by its own connection part, so give it \
                     retries",
                    keys.join(" or ")
                ),
            };
            let status_url = public_url::shown(&public_url.status_callback_url());
            Ok(format!("statuses are reported to {status_url}; webhooks are signed by {signed}"))
        }
        None if config.sandbox => Ok("the sandbox calls this machine".to_owned()),
        None => Err("TWILIO_WEBHOOK_PUBLIC_URL is not set: signatures are checked over the address as received, and no status is reported".to_owned()),
    }
}
