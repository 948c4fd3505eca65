//! Delivers webhooks as Twilio does: signed, with its time-outs, and with the retries that the URL's fragment asks for.

use std::time::{Duration, Instant};

use axum::http::header;
use reqwest::StatusCode;

use crate::clock;
use crate::exchanges::{Exchange, ExchangeKind, Outcome, Try};
use crate::signing::sign;
use crate::state::SandboxState;

/// Twilio's whole budget for one event, retries included.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(15);

/// What a webhook was answered.
pub(crate) struct WebhookAnswer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

/// Posts a form until it is answered well, or the retries are used up. The error says why in words.
pub(crate) async fn deliver(
    sandbox: &SandboxState,
    kind: ExchangeKind,
    url: &str,
    params: &[(String, String)],
) -> Result<WebhookAnswer, String> {
    let id = sandbox.begin_exchange(Exchange::new(kind, clock::now(), "POST", url, params));
    let overrides = Overrides::read(url);
    let signature = sign(&sandbox.settings.auth_token, url, params);
    // The same on every retry of one event.
    let idempotency_token = crate::resource::random_hex();
    let mut retries = overrides.retries;
    let begun = Instant::now();
    loop {
        let tried = Instant::now();
        let sent = sandbox
            .http
            .post(url.split('#').next().unwrap_or(url))
            .header("X-Twilio-Signature", &signature)
            .header("I-Twilio-Idempotency-Token", &idempotency_token)
            .header("X-Home-Region", "us1")
            .header(header::ACCEPT.as_str(), "*/*")
            .form(params)
            .timeout(overrides.read_timeout.min(TOTAL_TIMEOUT.saturating_sub(begun.elapsed())))
            .send()
            .await;
        let (policy, outcome) = match sent {
            Ok(answer) => {
                let status = answer.status();
                let content_type = answer
                    .headers()
                    .get("content-type")
                    .and_then(|value| value.to_str().ok())
                    .unwrap_or_default()
                    .to_owned();
                let body = answer.text().await.unwrap_or_default();
                let policy = match status.as_u16() {
                    200..=399 => None,
                    400..=499 => Some("4xx"),
                    _ => Some("5xx"),
                };
                (policy, Ok(WebhookAnswer { status, content_type, body }))
            }
            Err(error) if error.is_connect() => (Some("ct"), Err(format!("no connection: {error}"))),
            // Also a connection that broke after the request was written: the service may have acted on it.
            Err(error) => (Some("rt"), Err(format!("no answer: {error}"))),
        };
        let is_over = retries == 0
            || policy.is_none_or(|policy| !overrides.retries_on(policy))
            || begun.elapsed() >= TOTAL_TIMEOUT;
        let ended = match &outcome {
            Ok(answer) => Outcome::answered(answer.status.as_u16(), &answer.body),
            Err(reason) => Outcome::Unanswered(reason.clone()),
        };
        sandbox.exchange_tried(id, Try { took: tried.elapsed(), outcome: ended }, is_over);
        if is_over {
            return outcome;
        }
        retries -= 1;
    }
}

/// Twilio's connection overrides: `#rc=3&rp=all&rt=3000` behind the URL.
struct Overrides {
    retries: u32,
    policies: String,
    read_timeout: Duration,
}

impl Overrides {
    /// Twilio's defaults: one retry, only when no connection could be made; 15 seconds for the answer.
    fn read(url: &str) -> Self {
        let mut overrides =
            Self { retries: 1, policies: "ct".to_owned(), read_timeout: Duration::from_secs(15) };
        let fragment = url.split_once('#').map_or("", |(_, fragment)| fragment);
        for (name, value) in fragment.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "rc" => overrides.retries = value.parse().unwrap_or(1).min(5),
                "rp" => overrides.policies = value.to_owned(),
                "rt" => {
                    overrides.read_timeout =
                        Duration::from_millis(value.parse().unwrap_or(15_000).clamp(100, 15_000))
                }
                _ => {}
            }
        }
        overrides
    }

    fn retries_on(&self, policy: &str) -> bool {
        self.policies.split(',').any(|chosen| chosen == "all" || chosen == policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_follow_the_urls_fragment() {
        let usual = Overrides::read("https://a.example/x");
        let all = Overrides::read("https://a.example/x#rc=9&rp=all&rt=3000");
        let some = Overrides::read("https://a.example/x#rc=2&rp=5xx,rt");

        assert!(usual.retries == 1 && usual.retries_on("ct") && !usual.retries_on("5xx"));
        assert!(all.retries == 5 && all.retries_on("4xx") && all.read_timeout == Duration::from_secs(3));
        assert!(some.retries == 2 && some.retries_on("5xx") && !some.retries_on("ct"));
    }
}
