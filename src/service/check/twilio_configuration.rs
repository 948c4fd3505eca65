//! What `cloudybot check` says of the account's configuration at Twilio: the templates that schedules name, and webhook Rules that take the retries away.

use std::collections::BTreeMap;
use std::time::Duration;

use channel::administration::findings::{Finding, Subject, Urgency};
use channel::schedules::schedule_file;
use twilio::account::Account;
use twilio::client::{LookupError, TwilioClient};
use twilio::webhook_rules::WebhookRules;

use crate::config::Config;

fn not_looked_at(subject: Subject, why: impl std::fmt::Display) -> Vec<Finding> {
    vec![Finding::fine(subject, format!("not looked at: {why}"))]
}

fn client(config: &Config) -> Option<TwilioClient> {
    let account = Account { request_timeout: Duration::from_secs(10), ..config.twilio.account.clone() };
    TwilioClient::new(account).ok().filter(|_| !config.sandbox)
}

/// What WhatsApp says of the templates that schedules name.
pub(super) async fn templates(config: &Config) -> Vec<Finding> {
    let Some(client) = client(config) else {
        return not_looked_at(Subject::Templates, "Twilio is the built-in sandbox");
    };
    let Ok(folder) = schedule_file::read_folder(&config.keys.schedules.directory) else {
        return not_looked_at(Subject::Templates, "the schedules cannot be read");
    };
    let mut named: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for schedule in &folder.schedules {
        if let Some(template) = &schedule.definition.template {
            named.entry(&template.content_sid).or_default().push(schedule.name.as_str());
        }
    }
    let (mut good, mut bad, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
    for (content_sid, schedules) in named {
        let of = format!("{content_sid} of schedule {}", schedules.join(", "));
        match client.fetch_approval(content_sid).await {
            Ok(Some(approval)) if approval.is_approved() => {
                if approval.category == "marketing" {
                    warnings.push(format!(
                        "WhatsApp calls template {of} marketing: it costs more, has a limit for each person, and does not reach numbers of the US (63049)"
                    ));
                }
                good.push(format!("{of}: {}", approval.category));
            }
            Ok(Some(approval)) => {
                let reason = Some(approval.rejection_reason).filter(|reason| !reason.is_empty());
                let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
                bad.push((
                    format!("{of} is {}{reason}", approval.status),
                    "WhatsApp sends approved ones alone: mend it in Twilio's console, or name another one",
                ));
            }
            Ok(None) => {
                bad.push((
                    format!("{of} is not known to the account"),
                    "look for its SID in Twilio's console",
                ));
            }
            Err(error) => return not_looked_at(Subject::Templates, error),
        }
    }
    if good.is_empty() && bad.is_empty() && warnings.is_empty() {
        return vec![Finding::fine(Subject::Templates, "schedules name none")];
    }
    let bad = bad
        .into_iter()
        .map(|(text, remedy): (String, &str)| Finding::of(Urgency::Soon, Subject::Templates, text, remedy));
    let noted = warnings.into_iter().map(|text| {
        Finding::of(Urgency::Note, Subject::Templates, text, "word the template anew, or reckon with it")
    });
    let good = (!good.is_empty())
        .then(|| Finding::fine(Subject::Templates, format!("approved: {}", good.join("; "))));
    bad.chain(noted).chain(good).collect()
}

/// Whether a webhook Rule of the account takes the retries of our URLs away.
pub(super) async fn webhook_rules(config: &Config) -> Vec<Finding> {
    let Some(client) = client(config) else {
        return not_looked_at(Subject::WebhookRules, "Twilio is the built-in sandbox");
    };
    let Some(public_url) = &config.twilio.public_url else {
        return not_looked_at(Subject::WebhookRules, "TWILIO_WEBHOOK_PUBLIC_URL is not set");
    };
    let rules = match client.fetch_webhook_rules().await {
        Ok(rules) => rules,
        Err(error @ LookupError::Refused { status: 401 | 403 | 404, .. }) => {
            return not_looked_at(
                Subject::WebhookRules,
                format!(
                    "{error}; an account or a key without Twilio's webhooks API has no Rules that we could see"
                ),
            );
        }
        Err(error) => return not_looked_at(Subject::WebhookRules, error),
    };
    let urls = [public_url.webhook_url(), public_url.status_callback_url()];
    let lost: Vec<String> = urls.iter().filter_map(|url| without_retries(&rules, url)).collect();
    if lost.is_empty() {
        return vec![Finding::fine(Subject::WebhookRules, "0 of ours lose their retries to a Rule")];
    }
    let remedy = "make a Setting whose connection part has retryCount 5 and retryOn ALL";
    lost.into_iter().map(|text| Finding::of(Urgency::Note, Subject::WebhookRules, text, remedy)).collect()
}

fn without_retries(rules: &WebhookRules, url: &str) -> Option<String> {
    let rule = rules.of(url)?;
    let settings: Vec<&str> = rules.without_retries(rule).iter().map(|setting| setting.id.as_str()).collect();
    (!settings.is_empty()).then(|| {
        format!(
            "Twilio's webhook Rule {} is for {}, and its Setting {} replaces #rc=5&rp=all: what comes while the database is away is not tried again, and \
             is fetched by the backfill alone",
            rule.id,
            crate::public_url::shown(url),
            settings.join(", ")
        )
    })
}
