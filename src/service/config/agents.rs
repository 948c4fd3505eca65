//! The agent as it is configured: who answers, who keeps the history, and where users' own agents may be.

use agent::Agent;
use agent::allowed_hosts::AllowedHosts;
use agent::client::{GatewayClient, IDLE_TIMEOUT};
use agent::memory::MemoryKeeper;
use agent::target::Endpoint;
use channel::conversation::memory::MemorySettings;
use secrecy::ExposeSecret as _;

use super::keys::Keys;

/// The gateway that is configured, or the echo agent.
pub(super) fn agent(keys: &Keys, errors: &mut Vec<String>) -> Option<Agent> {
    let given = &keys.openclaw;
    if given.base_url.is_empty() {
        if !given.token.expose_secret().is_empty() {
            errors.push("OPENCLAW_TOKEN is set, but OPENCLAW_BASE_URL is not: set both, or none to use the echo agent".to_owned());
        }
        return Some(Agent::Echo);
    }
    let client = Endpoint::new(&given.base_url, &given.token)
        .and_then(|endpoint| GatewayClient::new(endpoint, IDLE_TIMEOUT));
    match client {
        Ok(client) => Some(Agent::OpenClaw(client.asking(&given.target))),
        Err(error) => {
            errors.push(format!("OPENCLAW_BASE_URL, OPENCLAW_TOKEN: {error}"));
            None
        }
    }
}

/// Who keeps the history of conversations, and how much of a thread goes along.
pub(super) fn memory(keys: &Keys, errors: &mut Vec<String>) -> Option<MemorySettings> {
    let given = &keys.openclaw;
    let keeper = match given.memory.as_str() {
        "auto" => None,
        "gateway" => Some(MemoryKeeper::Gateway),
        "thread" => Some(MemoryKeeper::Thread),
        other => {
            errors.push(format!(
                "openclaw.memory is {other:?}; it must be \"auto\", \"gateway\" or \"thread\""
            ));
            return None;
        }
    };
    Some(MemorySettings { keeper, limits: given.memory_limits })
}

/// Where users' own gateways may be: where the operator says, and where everybody's is.
pub(super) fn agent_hosts(keys: &Keys, agent: Option<&Agent>, errors: &mut Vec<String>) -> AllowedHosts {
    let allowed = AllowedHosts::parse(&keys.openclaw.allowed_hosts).unwrap_or_else(|error| {
        errors.push(format!("openclaw.allowed_hosts: {error}"));
        AllowedHosts::default()
    });
    match agent {
        Some(Agent::OpenClaw(client)) => allowed.and(client.endpoint()),
        _ => allowed,
    }
}
