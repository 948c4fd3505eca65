//! Whether those whom we post to can be reached: the product by `callbacks.url`, the operator by `alerts.webhook_url`. Nothing is posted.

use channel::administration::findings::{Finding, Subject, Urgency};
use futures::future::join;
use outgoing_webhook::OutgoingWebhook;

use crate::config::Config;

/// Tries both out at once.
pub(super) async fn try_out(config: &Config) -> Vec<Finding> {
    let (callbacks, alerts) = join(
        look(Subject::Callbacks, "callbacks.url", config.callback_webhook.as_ref()),
        look(Subject::AlertWebhook, "alerts.webhook_url", config.alert_webhook.as_ref()),
    )
    .await;
    vec![callbacks, alerts]
}

async fn look(subject: Subject, key: &str, webhook: Option<&OutgoingWebhook>) -> Finding {
    let Some(webhook) = webhook else {
        return Finding::fine(subject, format!("nobody is told: {key} is not set"));
    };
    let host = webhook.host();
    let wrong = |text: String, remedy: String| Finding::of(Urgency::Soon, subject, text, remedy);
    match webhook.try_out().await {
        Err(error) => wrong(
            format!("{:#}", anyhow::Error::new(error)),
            format!(
                "look whether the service of {key} runs, and at the way to it (name, firewall, proxy, certificate); posts are kept and tried again meanwhile"
            ),
        ),
        Ok(status @ 500..) => wrong(
            format!("{host} answers {status} to a HEAD; nothing was posted on trial"),
            format!("look at the log of the service of {key}; posts are kept and tried again meanwhile"),
        ),
        Ok(status @ (401 | 403 | 404 | 410)) => Finding::of(
            Urgency::Note,
            subject,
            format!(
                "{host} is reached, and answers {status} to a HEAD; nothing was posted on trial, so it may take posts all the same"
            ),
            format!(
                "compare the path of {key} with what the service has; `cloudybot status` tells when posts fail"
            ),
        ),
        Ok(status) => Finding::fine(
            subject,
            format!("{host} is reached: it answers {status} to a HEAD, and nothing was posted on trial"),
        ),
    }
}
