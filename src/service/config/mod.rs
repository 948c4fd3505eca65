//! The configuration: the compiled-in defaults, a file over them, the environment over both. Whatever is wrong is reported at once, each
//! with the key and the remedy.

/// Who answers.
pub(crate) mod administrators;
mod agents;
/// Where the dashboard is.
pub(crate) mod dashboard;
/// What can be set.
pub mod keys;
/// What people may say.
mod moderation;
/// By which names browsers call us.
mod origins;
/// Merging, and what is wrong with a key.
mod overlay;
/// What a deployment must have.
mod rules;
/// Whether a secret could be guessed.
mod strength;
/// Twilio, real or the sandbox.
mod twilio_access;

use std::path::Path;

use agent::allowed_hosts::AllowedHosts;
use channel::conversation::memory::MemorySettings;
use channel::inbound::moderation::Moderation;
use channel::plans::Plans;
use outgoing_webhook::OutgoingWebhook;
use secrecy::{ExposeSecret as _, SecretString};
use store::secret_keys::SecretKeys;
use twilio::account::Account;
use twilio::signature::SigningKeys;

use self::administrators::{Administrator, AdministratorToken};
use self::dashboard::DashboardOrigins;
use self::keys::Keys;
use crate::public_url::PublicUrl;
use crate::roles::Roles;

/// The file at the top of the repository; it is its own documentation.
pub const DEFAULTS: &str = include_str!("../../../config.toml");

/// The sandbox's account, in the shape of a real one. Its token protects nothing: only this machine reaches the sandbox.
const SANDBOX_ACCOUNT_SID: &str = "AC00000000000000000000000000005a9d";
const SANDBOX_AUTH_TOKEN: &str = "sandbox0sandbox0sandbox0sandbox0";
const SANDBOX_NUMBER: &str = "whatsapp:+14155238886";

/// What development takes where none is given; only this machine reaches the service then.
const DEVELOPMENT_API_TOKEN: &str = "development-api-token";
const DEVELOPMENT_ADMIN_TOKEN: &str = "development-admin-token";

/// Where the service runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// On a developer's machine: everything it lacks is put in its place.
    Development,
    /// For real: nothing is assumed.
    Production,
}

/// Everything the operator decides.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the service runs.
    pub environment: Environment,
    /// What this process does.
    pub roles: Roles,
    /// The account and sender, real or the sandbox's.
    pub twilio: TwilioAccess,
    /// Who answers.
    pub agent: agent::Agent,
    /// Who keeps the history of conversations.
    pub memory: MemorySettings,
    /// Where users' own agents may be.
    pub agent_hosts: AllowedHosts,
    /// What users may do.
    pub plans: Plans,
    /// What users may say to the agent.
    pub moderation: Moderation,
    /// Who is told of alerts.
    pub alert_webhook: Option<OutgoingWebhook>,
    /// Who is told what becomes of deliveries.
    pub callback_webhook: Option<OutgoingWebhook>,
    /// The hosts under which people and programs reach us, besides our addresses.
    pub hosts: Vec<String>,
    /// The dashboard, as browsers see it.
    pub(crate) dashboard: DashboardOrigins,
    /// Who administrates; empty: whoever has the token of development.
    pub(crate) administrators: Vec<AdministratorToken>,
    /// What keys the hashes; `None`: the database keeps one, in development.
    pub secret_keys: Option<SecretKeys>,
    /// Whether Twilio is the built-in sandbox.
    pub sandbox: bool,
    /// Whether a newcomer is meant to find a linked phone: the sandbox stands in because nothing at all is said of Twilio.
    pub welcomes: bool,
    /// The rest, as it stands in the file.
    pub keys: Keys,
}

/// Twilio, ready to be used.
#[derive(Clone, Debug)]
pub struct TwilioAccess {
    /// The account; where the sandbox's REST API is, is known once it listens.
    pub account: Account,
    /// What signs webhooks.
    pub signing_keys: SigningKeys,
    /// `whatsapp:+E164`
    pub whatsapp_number: String,
    /// The webhook's URL at Twilio.
    pub public_url: Option<PublicUrl>,
    /// Believe anybody.
    pub skip_signature: bool,
}

/// Everything that is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
#[error("the configuration is not usable:\n  - {}", .0.join("\n  - "))]
pub struct ConfigErrors(pub Vec<String>);

impl Config {
    /// Reads the defaults, then `file`, then the environment. `sandbox` asks for the built-in Twilio whatever credentials are given.
    pub fn load(
        file: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
        sandbox: bool,
    ) -> Result<Self, ConfigErrors> {
        let env: Vec<(String, String)> = env.into_iter().collect();
        let mut errors = Vec::new();
        let keys = overlay::merge(file, &env, &mut errors);
        let environment = overlay::environment(&env, &mut errors);
        let Some(keys) = keys.filter(|_| errors.is_empty()) else { return Err(ConfigErrors(errors)) };
        let roles = rules::roles(&keys, &mut errors);
        let welcomes = environment == Environment::Development && keys.twilio.account_sid.is_empty();
        let (twilio, sandbox) = twilio_access::read(&keys, sandbox, &mut errors);
        let agent = agents::agent(&keys, &mut errors);
        let agent_hosts = agents::agent_hosts(&keys, agent.as_ref(), &mut errors);
        let plans = rules::plans(&keys, &mut errors);
        let memory = agents::memory(&keys, &mut errors);
        let moderation = moderation::read(&keys, &mut errors);
        let alert_webhook = rules::alert_webhook(&keys, &mut errors);
        let callback_webhook = rules::callback_webhook(&keys, &mut errors);
        let hosts = origins::hosts(&keys, &mut errors);
        let dashboard = dashboard::read(&keys, &mut errors);
        let secret_keys = SecretKeys::parse(&keys.server.secret_key);
        let administrators =
            administrators::read(keys.server.admin_token.expose_secret()).unwrap_or_else(|error| {
                errors.push(error);
                Vec::new()
            });
        rules::contradictions(&keys, &mut errors);
        match environment {
            Environment::Production => rules::production(&keys, sandbox, &mut errors),
            Environment::Development => rules::development(&keys, sandbox, &mut errors),
        }
        match (roles, twilio, agent, memory, plans, moderation) {
            (Some(roles), Some(twilio), Some(agent), Some(memory), Some(plans), Some(moderation))
                if errors.is_empty() =>
            {
                Ok(Self {
                    environment,
                    roles,
                    twilio,
                    agent,
                    memory,
                    agent_hosts,
                    plans,
                    moderation,
                    alert_webhook,
                    callback_webhook,
                    hosts,
                    dashboard,
                    secret_keys,
                    administrators,
                    sandbox,
                    welcomes,
                    keys,
                })
            }
            _ => Err(ConfigErrors(errors)),
        }
    }

    /// What the product's programs authenticate with.
    #[must_use]
    pub fn api_token(&self) -> SecretString {
        given_or(&self.keys.server.api_token, DEVELOPMENT_API_TOKEN)
    }

    /// What administrators authenticate with.
    pub(crate) fn administrators(&self) -> Vec<AdministratorToken> {
        if !self.administrators.is_empty() {
            return self.administrators.clone();
        }
        vec![AdministratorToken { whose: Administrator::unnamed(), token: DEVELOPMENT_ADMIN_TOKEN.into() }]
    }
}

fn given_or(given: &SecretString, usual: &str) -> SecretString {
    if given.expose_secret().is_empty() { usual.into() } else { given.clone() }
}

#[cfg(test)]
mod tests;
