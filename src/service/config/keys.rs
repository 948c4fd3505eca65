//! The keys of `config.toml`, as they are written there.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

/// The keys of `config.toml`; each is described there.
#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "config.toml documents every key")]
pub struct Keys {
    pub server: Server,
    pub database: Database,
    pub(super) twilio: TwilioKeys,
    pub sandbox: Sandbox,
    pub(super) openclaw: OpenClaw,
    pub whatsapp: Whatsapp,
    pub(super) plans: PlanKeys,
    pub(super) limits: LimitKeys,
    pub(super) moderation: ModerationKeys,
    pub agent: Agent,
    pub media: Media,
    pub deliveries: Deliveries,
    pub schedules: Schedules,
    pub metering: Metering,
    pub backfill: Backfill,
    pub(super) alerts: Alerts,
    pub queue: Queue,
    pub pools: Pools,
    pub log: Log,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "config.toml documents every key")]
pub struct Server {
    pub listen: SocketAddr,
    #[serde(deserialize_with = "address_or_none")]
    pub dashboard_listen: Option<SocketAddr>,
    #[serde(deserialize_with = "address_or_none")]
    pub private_listen: Option<SocketAddr>,
    pub(super) origins: Vec<String>,
    pub connections: usize,
    pub dashboard_connections: usize,
    pub private_connections: usize,
    #[serde(with = "humantime_serde")]
    pub head_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub body_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    pub head_limit_bytes: usize,
    pub body_limit_bytes: usize,
    #[serde(with = "humantime_serde")]
    pub webhook_timeout: Duration,
    pub(super) api_token: SecretString,
    pub(super) admin_token: SecretString,
    pub(super) secret_key: SecretString,
    #[serde(with = "humantime_serde")]
    pub shutdown_grace: Duration,
}

/// An address, or an empty text for none.
fn address_or_none<'de, D: serde::Deserializer<'de>>(given: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(given)?;
    let wrong = |_| serde::de::Error::custom(format!("{text:?} is no address like 127.0.0.1:8082"));
    Some(text.as_str()).filter(|text| !text.is_empty()).map(|text| text.parse().map_err(wrong)).transpose()
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "config.toml documents every key")]
pub struct Database {
    pub url: SecretString,
    pub direct_url: SecretString,
    pub data_directory: PathBuf,
    pub receiver_connections: u32,
    pub worker_connections: u32,
    pub queue_connections: u32,
    pub api_connections: u32,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct TwilioKeys {
    pub(super) account_sid: String,
    pub(super) auth_token: SecretString,
    pub(super) whatsapp_number: String,
    pub(super) api_base_url: String,
    pub(super) webhook_public_url: String,
    pub(super) webhook_skip_signature_validation: bool,
    #[serde(with = "humantime_serde")]
    pub(super) connect_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub(super) send_start_within: Duration,
    #[serde(with = "humantime_serde")]
    pub(super) send_deadline: Duration,
    #[serde(with = "humantime_serde")]
    pub(super) in_doubt_grace: Duration,
    #[serde(with = "humantime_serde")]
    pub(super) in_doubt_second_look: Duration,
    #[serde(with = "humantime_serde")]
    pub(super) in_doubt_give_up: Duration,
    pub(super) status_look_ups: Vec<humantime_serde::Serde<Duration>>,
    pub(super) sender_per_sec: u32,
    pub(super) recipient_burst: u32,
    #[serde(with = "humantime_serde")]
    pub(super) recipient_every: Duration,
    #[serde(with = "humantime_serde")]
    pub(super) probe_every: Duration,
    #[serde(with = "humantime_serde")]
    pub(super) daily_cap_probe_every: Duration,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "config.toml documents every key")]
pub struct Sandbox {
    pub listen: SocketAddr,
    #[serde(with = "humantime_serde")]
    pub status_delay: Duration,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct OpenClaw {
    pub(super) base_url: String,
    pub(super) token: SecretString,
    pub(super) agent_id: String,
    pub(super) model: String,
    pub(super) allowed_hosts: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "config.toml documents every key")]
pub struct Whatsapp {
    pub enabled: bool,
    pub enforce_window: bool,
    pub typing_indicator: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct PlanKeys {
    pub(super) default: String,
    #[serde(flatten)]
    pub(super) plans: BTreeMap<String, PlanKey>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct PlanKey {
    pub(super) whatsapp_sends: u32,
    pub(super) whatsapp: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct ModerationKeys {
    pub(super) mode: String,
    pub(super) rules: Vec<String>,
    pub(super) base_url: String,
    pub(super) token: SecretString,
    pub(super) model: String,
    #[serde(with = "humantime_serde")]
    pub(super) timeout: Duration,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct LimitKeys {
    pub(super) per_sender_per_min: u32,
    pub(super) per_sender_burst: u32,
    pub(super) unlinked_per_hour: u32,
    pub(super) total_per_min: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "config.toml documents every key")]
pub struct Agent {
    #[serde(with = "humantime_serde")]
    pub debounce: Duration,
    #[serde(with = "humantime_serde")]
    pub debounce_cap: Duration,
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    pub attempts: u16,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "config.toml documents every key")]
pub struct Media {
    pub size_limit_bytes: usize,
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "config.toml documents every key")]
pub struct Deliveries {
    #[serde(with = "humantime_serde")]
    pub reply_expires: Duration,
    #[serde(with = "humantime_serde")]
    pub notification_expires: Duration,
    #[serde(with = "humantime_serde")]
    pub callback_wait: Duration,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "config.toml documents every key")]
pub struct Schedules {
    pub directory: PathBuf,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "config.toml documents every key")]
pub struct Metering {
    pub credit_failed: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Alerts {
    pub(super) webhook_url: SecretString,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "config.toml documents every key")]
pub struct Backfill {
    #[serde(with = "humantime_serde")]
    pub settle: Duration,
    #[serde(with = "humantime_serde")]
    pub every: Duration,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "config.toml documents every key")]
pub struct Queue {
    #[serde(with = "humantime_serde")]
    pub lease: Duration,
    #[serde(with = "humantime_serde")]
    pub renew: Duration,
    #[serde(with = "humantime_serde")]
    pub poll: Duration,
    pub crash_limit: u16,
    #[serde(with = "humantime_serde")]
    pub strays_every: Duration,
    #[serde(with = "humantime_serde")]
    pub history: Duration,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "config.toml documents every key")]
pub struct Pools {
    pub inbound: Pool,
    pub conversation: Pool,
    pub prompts: Pool,
    pub replies: Pool,
    pub proactive: Pool,
    pub upkeep: Pool,
}

impl Pools {
    /// Every pool with its name.
    #[must_use]
    pub fn named(&self) -> [(&'static str, &Pool); 6] {
        [
            ("inbound", &self.inbound),
            ("conversation", &self.conversation),
            ("prompts", &self.prompts),
            ("replies", &self.replies),
            ("proactive", &self.proactive),
            ("upkeep", &self.upkeep),
        ]
    }
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "config.toml documents every key")]
pub struct Pool {
    pub concurrency: usize,
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "config.toml documents every key")]
pub struct Log {
    pub format: String,
    pub filter: String,
    #[serde(with = "humantime_serde")]
    pub repeat: Duration,
}
