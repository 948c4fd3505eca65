//! What a deployment must have, and what contradicts itself.

use std::net::SocketAddr;

use channel::compliance::AiProvider;
use channel::plans::Plans;
use channel::pools;
use channel::retention;
use outgoing_webhook::OutgoingWebhook;
use outgoing_webhook::signing_secret::SigningSecret;
use secrecy::{ExposeSecret as _, SecretString};

use super::keys::Keys;
use super::strength::weakness;
use super::{DEVELOPMENT_ADMIN_TOKEN, DEVELOPMENT_API_TOKEN, SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN};
use super::{administrators, dashboard};
use crate::roles::Roles;

/// What the process does.
pub(super) fn roles(keys: &Keys, errors: &mut Vec<String>) -> Option<Roles> {
    let roles = Roles::parse(keys.server.roles.iter().map(String::as_str));
    roles.map_err(|error| errors.push(format!("server.roles: {error}"))).ok()
}

/// The plans, with the default one among them.
pub(super) fn plans(keys: &Keys, errors: &mut Vec<String>) -> Option<Plans> {
    let given = &keys.plans;
    let plans = Plans::new(given.plans.clone(), &given.default);
    if plans.is_none() {
        let known: Vec<&str> = given.plans.keys().map(String::as_str).collect();
        errors.push(format!("plans.default is {:?}; the plans are {}", given.default, known.join(", ")));
    }
    plans
}

/// Who is told of alerts.
pub(super) fn alert_webhook(keys: &Keys, errors: &mut Vec<String>) -> Option<OutgoingWebhook> {
    let alerts = &keys.alerts;
    webhook(
        &alerts.webhook_url,
        ("alerts.webhook_url", "alerts.webhook_secret"),
        &alerts.webhook_secret,
        errors,
    )
}

/// Who is told what becomes of deliveries: the product, which must be able to tell our posts from others'.
pub(super) fn callback_webhook(keys: &Keys, errors: &mut Vec<String>) -> Option<OutgoingWebhook> {
    let callbacks = &keys.callbacks;
    if !callbacks.url.expose_secret().is_empty() && callbacks.secret.expose_secret().is_empty() {
        errors.push(
            "callbacks.url needs callbacks.secret, which signs what is posted: openssl rand -base64 32"
                .to_owned(),
        );
    }
    webhook(&callbacks.url, ("callbacks.url", "callbacks.secret"), &callbacks.secret, errors)
}

/// A service that the operator names by these keys.
fn webhook(
    url: &SecretString,
    (url_key, secret_key): (&str, &str),
    secret: &SecretString,
    errors: &mut Vec<String>,
) -> Option<OutgoingWebhook> {
    let url = url.expose_secret();
    let secret =
        SigningSecret::parse(secret).map_err(|error| errors.push(format!("{secret_key}: {error}"))).ok()?;
    if url.is_empty() {
        return None;
    }
    OutgoingWebhook::new(url, secret).map_err(|error| errors.push(format!("{url_key}: {error}"))).ok()
}

/// Values that no deployment can have.
pub(super) fn contradictions(keys: &Keys, errors: &mut Vec<String>) {
    let mut must = |holds: bool, message: &str| {
        if !holds {
            errors.push(message.to_owned());
        }
    };
    for (name, pool) in keys.pools.named() {
        must(pool.concurrency > 0, &format!("pools.{name}.concurrency must be at least 1"));
        must(!pool.timeout.is_zero(), &format!("pools.{name}.timeout must be longer than \"0s\""));
    }
    for (name, duration) in [
        ("server.head_timeout", keys.server.client.head_timeout),
        ("server.body_timeout", keys.server.client.body_timeout),
        ("server.idle_timeout", keys.server.client.idle_timeout),
        ("agent.timeout", keys.agent.timeout),
        ("agent.turn_budget", keys.agent.turn_budget),
        ("backfill.every", keys.backfill.every),
        ("alerts.look_every", keys.alerts.settings.look_every),
        ("alerts.repeat_every", keys.alerts.settings.repeat_every),
        ("alerts.undelivered_within", keys.alerts.settings.undelivered_within),
        ("queue.renew", keys.queue.renew),
        ("queue.poll", keys.queue.poll),
    ] {
        must(!duration.is_zero(), &format!("{name} must be longer than \"0s\""));
    }
    for (name, age) in [
        ("texts", keys.retention.texts),
        ("callbacks", keys.retention.callbacks),
        ("slot_users", keys.retention.slot_users),
        ("ledger", keys.retention.ledger),
        ("strangers", keys.retention.strangers),
        ("claim_tokens", keys.retention.claim_tokens),
        ("alerts", keys.retention.alerts),
        ("audit", keys.retention.audit),
    ] {
        must(
            age.is_zero() || age >= retention::SHORTEST,
            &format!("retention.{name} must be at least \"3d\", or \"0s\" for ever"),
        );
    }
    let sent_days = keys.retention.sent_days;
    must(
        sent_days.is_zero() || sent_days >= retention::SHORTEST_OF_SENT_DAYS,
        "retention.sent_days must be at least \"62d\", since a user's usage is counted from them, or \"0s\" for ever",
    );
    must(keys.queue.renew <= keys.queue.lease / 3, "queue.renew must be at most a third of queue.lease");
    must(keys.queue.crash_limit > 0, "queue.crash_limit must be at least 1");
    must(
        keys.compliance.ai_provider != AiProvider::ListedCountries || !keys.compliance.countries.is_empty(),
        "compliance.countries is empty: with ai_provider = \"listed_countries\" nobody could be talked to",
    );
    must(keys.agent.attempts > 0, "agent.attempts must be at least 1");
    must(keys.media.size_limit_bytes > 0, "media.size_limit_bytes must be at least 1");
    must(
        keys.pools.conversation.timeout > keys.agent.timeout + keys.media.timeout,
        "pools.conversation.timeout must be longer than agent.timeout and media.timeout together",
    );
    must(
        keys.pools.prompts.timeout > keys.agent.timeout,
        "pools.prompts.timeout must be longer than agent.timeout",
    );
    must(
        keys.twilio.sending.send_start_within < keys.twilio.sending.send_deadline,
        "twilio.send_start_within must be shorter than twilio.send_deadline",
    );
    for (name, pool) in [(pools::REPLIES, &keys.pools.replies), (pools::PROACTIVE, &keys.pools.proactive)] {
        must(
            pool.timeout > keys.twilio.sending.send_deadline,
            &format!("pools.{name}.timeout must be longer than twilio.send_deadline"),
        );
    }
    must(keys.twilio.sending.sender_per_sec > 0, "twilio.sender_per_sec must be at least 1");
    must(keys.twilio.sending.recipient_burst > 0, "twilio.recipient_burst must be at least 1");
    for (name, connections) in [
        ("connections", keys.server.connections),
        ("dashboard_connections", keys.server.dashboard_connections),
        ("private_connections", keys.server.private_connections),
    ] {
        must(connections > 0, &format!("server.{name} must be at least 1"));
    }
    must(keys.server.client.head_limit_bytes >= 8192, "server.head_limit_bytes must be at least 8192");
    must(!keys.takeovers.lasts.is_zero(), "takeovers.lasts must be longer than nothing, \"2h\" for example");
    must(
        keys.takeovers.lasts < keys.deliveries.reply_expires,
        "takeovers.lasts must be shorter than deliveries.reply_expires: what waits for so long would be answered too late",
    );
    let problem = keys.human.problem();
    must(problem.is_none(), &problem.unwrap_or_default());
    let addresses: Vec<SocketAddr> = addresses(keys).map(|(_, address)| address).collect();
    for (place, address) in addresses.iter().enumerate() {
        must(
            address.port() == 0 || !addresses[..place].contains(address),
            &format!(
                "{address} is given to two of server.listen, dashboard_listen and private_listen: leave the second empty to share the first, or give it another port"
            ),
        );
    }
    let database = &keys.database;
    let connections = [database.receiver_connections, database.worker_connections, database.api_connections];
    must(
        connections.iter().all(|connections| *connections > 0),
        "database.receiver_connections, worker_connections and api_connections must be at least 1",
    );
    must(keys.database.queue_connections >= 5, "database.queue_connections must be at least 5");
    must(matches!(keys.log.format.as_str(), "text" | "json"), "log.format must be \"text\" or \"json\"");
}

/// The addresses that are given, by their keys.
fn addresses(keys: &Keys) -> impl Iterator<Item = (&'static str, SocketAddr)> {
    let server = &keys.server;
    let given = [
        ("server.listen", Some(server.listen)),
        ("server.dashboard_listen", server.dashboard_listen),
        ("server.private_listen", server.private_listen),
    ];
    given.into_iter().filter_map(|(name, address)| Some((name, address?)))
}

/// In production nothing is assumed.
pub(super) fn production(keys: &Keys, sandbox: bool, errors: &mut Vec<String>) {
    let given = &keys.twilio;
    let required = [
        ("DATABASE_URL", keys.database.url.expose_secret()),
        ("TWILIO_ACCOUNT_SID", &given.account_sid),
        ("TWILIO_AUTH_TOKEN", given.auth_token.expose_secret()),
        ("TWILIO_WHATSAPP_NUMBER", &given.whatsapp_number),
        ("TWILIO_WEBHOOK_PUBLIC_URL", &given.webhook_public_url),
        ("CLOUDYBOT_API_TOKEN", keys.server.api_token.expose_secret()),
        ("CLOUDYBOT_ADMIN_TOKEN", keys.server.admin_token.expose_secret()),
        ("CLOUDYBOT_SECRET_KEY", keys.server.secret_key.expose_secret()),
    ];
    if keys.server.private_listen.is_none() {
        errors.push("production needs server.private_listen, an address that the internet does not reach: /v1 and /admin never share the one of the webhooks; for example CLOUDYBOT__SERVER__PRIVATE_LISTEN=127.0.0.1:8082".to_owned());
    }
    dashboard::in_production(keys, errors);
    for (name, token, known) in tokens(keys) {
        if token.expose_secret() == known {
            errors.push(format!("{name} is the one of development, which everybody knows: choose another"));
        }
    }
    let api_token = keys.server.api_token.expose_secret();
    let of_administrators = tokens(keys)
        .into_iter()
        .filter(|(name, ..)| *name == "CLOUDYBOT_ADMIN_TOKEN")
        .map(|(_, token, _)| token);
    if !api_token.is_empty() && of_administrators.into_iter().any(|token| token.expose_secret() == api_token)
    {
        errors.push("CLOUDYBOT_API_TOKEN and CLOUDYBOT_ADMIN_TOKEN are the same: the product's programs are no administrators".to_owned());
    }
    errors.extend(
        required
            .iter()
            .filter(|(_, value)| value.is_empty())
            .map(|(name, _)| format!("production needs {name}")),
    );
    if given.auth_token.expose_secret().contains(SANDBOX_AUTH_TOKEN)
        || given.account_sid == SANDBOX_ACCOUNT_SID
    {
        errors.push("production does not take the sandbox's credentials".to_owned());
    }
    if given.webhook_skip_signature_validation {
        errors.push("production does not start with TWILIO_WEBHOOK_SKIP_SIGNATURE_VALIDATION on: anybody could write as anybody".to_owned());
    }
    if sandbox && !given.account_sid.is_empty() {
        errors.push("production does not start with --sandbox".to_owned());
    }
    if keys.openclaw.base_url.is_empty() {
        errors.push("production needs an agent, or people would read their own words: set OPENCLAW_BASE_URL and OPENCLAW_TOKEN".to_owned());
    }
    // A key that was given up may be weak; that is a reason to give it up.
    let secret_key = keys.server.secret_key.expose_secret().split(',').next().unwrap_or_default().trim();
    let tokens = tokens(keys);
    let secrets = tokens.iter().map(|(name, token, _)| (*name, token.expose_secret()));
    let secrets = secrets.chain([("CLOUDYBOT_SECRET_KEY", secret_key)]);
    errors.extend(secrets.filter_map(|(name, secret)| weakness(name, secret)));
    let public_url = &given.webhook_public_url;
    if !public_url.is_empty() && !public_url.starts_with("https://") {
        errors.push("TWILIO_WEBHOOK_PUBLIC_URL must begin with https:// in production".to_owned());
    }
}

/// Every token with what development takes in its place. Tokens of administrators that cannot be read are told of elsewhere.
fn tokens(keys: &Keys) -> Vec<(&'static str, SecretString, &'static str)> {
    let administrators = administrators::read(keys.server.admin_token.expose_secret()).unwrap_or_default();
    let mut tokens = vec![("CLOUDYBOT_API_TOKEN", keys.server.api_token.clone(), DEVELOPMENT_API_TOKEN)];
    tokens.extend(
        administrators.into_iter().map(|of| ("CLOUDYBOT_ADMIN_TOKEN", of.token, DEVELOPMENT_ADMIN_TOKEN)),
    );
    if keys.server.admin_token.expose_secret().is_empty() {
        tokens.push(("CLOUDYBOT_ADMIN_TOKEN", SecretString::default(), DEVELOPMENT_ADMIN_TOKEN));
    }
    tokens
}

/// In development the defaults are known to everybody, so nobody else may reach the service.
pub(super) fn development(keys: &Keys, sandbox: bool, errors: &mut Vec<String>) {
    for (key, address) in addresses(keys).filter(|(_, address)| !address.ip().is_loopback()) {
        let mut refuse = |why: &str, remedy: &str| {
            errors.push(format!("{key} is {address}, and {why}: listen on 127.0.0.1, or {remedy}"))
        };
        for (name, token, known) in tokens(keys) {
            let token = token.expose_secret();
            if token.is_empty() || token == known {
                refuse(&format!("{name} is the one that everybody knows"), &format!("set {name}"));
            } else if let Some(weakness) = weakness(name, token) {
                refuse(&weakness, &format!("set another {name}"));
            }
        }
        if key == "server.dashboard_listen" && sandbox {
            refuse("with the sandbox anybody there is any user", "set Twilio's credentials");
        }
        if key != "server.listen" {
            continue;
        }
        if keys.twilio.webhook_skip_signature_validation {
            refuse("the signature check is off", "turn the check on");
        }
        if sandbox {
            refuse(
                "webhooks are signed with the sandbox's token, which everybody knows",
                "set Twilio's credentials",
            );
        }
    }
}
