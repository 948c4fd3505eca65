//! The settings of this process.

use channel::administration::findings::{Finding, Subject, Urgency};

use crate::config::{Config, Environment};
use crate::public_url;

pub(super) fn valid(config: &Config) -> Finding {
    let environment =
        if config.environment == Environment::Production { "production" } else { "development" };
    Finding::fine(Subject::Configuration, format!("valid, {environment}"))
}

/// Where Twilio's webhooks arrive, and who signs them.
pub(super) fn webhook_address(config: &Config) -> Finding {
    let fine = |text: String| Finding::fine(Subject::Webhooks, text);
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
            fine(format!("statuses are reported to {status_url}; webhooks are signed by {signed}"))
        }
        None if config.sandbox => fine("the sandbox calls this machine".to_owned()),
        None => Finding::of(
            Urgency::Soon,
            Subject::Webhooks,
            "it is not known, so signatures are checked over the address as received, and no status is reported",
            "set TWILIO_WEBHOOK_PUBLIC_URL to the address that Twilio has",
        ),
    }
}
