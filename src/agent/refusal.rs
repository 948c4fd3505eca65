//! What a gateway means by an error.

use std::time::Duration;

use reqwest::Response;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use tokio::time::timeout;

use crate::answer_body::read_body;
use crate::error::{AgentError, Trouble};
use crate::server_error::ServerError;
use crate::target::Endpoint;

/// How much of an error is read, and for how long.
const BODY_LIMIT_BYTES: usize = 64 * 1024;
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// How much of a gateway's own words is kept, in characters.
const MESSAGE_LIMIT: usize = 300;
/// Nobody is made to wait longer, whatever a gateway asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// What an operator can do about a refusal; it stands in the text of a configuration error.
pub(crate) struct Remedies {
    /// The token is wrong.
    pub(crate) token: &'static str,
    /// It is right, and may not do this.
    pub(crate) rights: &'static str,
    /// Nobody pays.
    pub(crate) payment: &'static str,
    /// What stands behind the gateway refuses the gateway.
    pub(crate) provider: &'static str,
    /// Nobody there has this name.
    pub(crate) agent: &'static str,
    /// Nothing is there.
    pub(crate) address: &'static str,
    /// There is no such model.
    pub(crate) model: &'static str,
    /// It is somewhere else.
    pub(crate) moved: &'static str,
}

/// What mends a gateway that refuses turns.
pub(crate) const OF_A_TURN: Remedies = Remedies {
    token: "check the agent's token (OPENCLAW_TOKEN, or the user's own)",
    rights: "the agent's token is valid but may not do this: give one with operator access",
    payment: "the account behind the agent has to be paid for",
    provider: "the agent's token is right, and the key of the model behind the gateway is refused: mend it in the gateway's configuration",
    agent: "set openclaw.agent_id (or the user's own agent id) to an agent that this gateway has",
    model: "set openclaw.model (or the user's own model) to a model that this server has; an OpenClaw gateway takes one only together with \
            an agent id",
    address: "the gateway's chat completions are off by default: set gateway.http.endpoints.chatCompletions.enabled to true \
              in its configuration, and check the agent's base URL",
    moved: "it sends callers elsewhere: set the agent's base URL to the final address",
};

/// What the status of an answer means. No run has begun.
pub(crate) async fn of(response: Response, endpoint: &Endpoint, remedies: &Remedies) -> AgentError {
    let status = response.status();
    let retry_after = retry_after(response.headers());
    let server_error = match timeout(BODY_TIMEOUT, read_body(response, endpoint, BODY_LIMIT_BYTES)).await {
        Ok(Ok(body)) => ServerError::of_refusal(&body),
        _ => ServerError::default(),
    };
    let said = Some(tidy(&server_error.message, endpoint)).filter(|said| !said.is_empty());
    let reason =
        format!("{endpoint} answered {status}{}", said.map(|said| format!(" ({said})")).unwrap_or_default());
    let refused = |trouble: Trouble, remedy: &str| AgentError::Refused {
        trouble,
        reason: format!("{reason}; {remedy}"),
    };
    let unavailable = |trouble: Trouble| AgentError::Unavailable {
        trouble,
        retry_after: retry_after.or(server_error.wait()),
        reason: reason.clone(),
    };
    match (status.as_u16(), subject(&server_error)) {
        (413, _) | (400..=599, Some(Subject::Length)) => AgentError::TooLong(reason),
        (400..=499, Some(Subject::Payment)) | (402, _) => refused(Trouble::Provider, remedies.payment),
        (400 | 404 | 422, Some(Subject::Model)) => refused(Trouble::Name, remedies.model),
        (400 | 404 | 422, Some(Subject::Agent)) => refused(Trouble::Name, remedies.agent),
        (401, Some(Subject::ModelKey)) => refused(Trouble::Provider, remedies.provider),
        (401, _) => refused(Trouble::Token, remedies.token),
        (403, _) => refused(Trouble::Token, remedies.rights),
        (404 | 405, _) => refused(Trouble::Endpoint, remedies.address),
        (300..=399, _) => refused(Trouble::Endpoint, remedies.moved),
        (429, _) if server_error.says(&["authentication attempts"]) => unavailable(Trouble::LockedOut),
        (429 | 529, _) => unavailable(Trouble::Busy),
        // Nobody behind the proxy, or somebody who is not ready.
        (502 | 503, _) => unavailable(Trouble::Unreachable),
        (408 | 425 | 500..=599, _) => AgentError::Transient(reason),
        _ => AgentError::Permanent(reason),
    }
}

/// What an error in the middle of a stream, or under a 200, means. The run has begun, and what went wrong is mostly behind the gateway.
pub(crate) fn in_band(server_error: &ServerError, endpoint: &Endpoint) -> AgentError {
    let reason = format!("{endpoint} said in its answer: {}", tidy(&server_error.message, endpoint));
    let refused = |trouble: Trouble, remedy: &str| AgentError::Refused {
        trouble,
        reason: format!("{reason}; {remedy}"),
    };
    if server_error.says(&["append-only"]) {
        return AgentError::Corrected(reason);
    }
    match subject(server_error) {
        Some(Subject::Payment) => return refused(Trouble::Provider, OF_A_TURN.payment),
        Some(Subject::Model) => return refused(Trouble::Name, OF_A_TURN.model),
        Some(Subject::Agent) => return refused(Trouble::Name, OF_A_TURN.agent),
        Some(Subject::Length) => return AgentError::TooLong(reason),
        Some(Subject::ModelKey) | None => {}
    }
    let wait = server_error.wait();
    if wait.is_some() || server_error.is_of_kind(&["rate_limit", "429", "overloaded", "529", "too_many"]) {
        AgentError::RateLimited { retry_after: wait, reason }
    } else if server_error.is_of_kind(&["authentication", "permission", "api_key", "401", "403"]) {
        refused(Trouble::Provider, OF_A_TURN.provider)
    } else if server_error.is_of_kind(&["invalid_request", "badrequest", "400", "413", "422"]) {
        AgentError::Permanent(reason)
    } else {
        // OpenClaw says "internal error" of a model that will say nothing but `NO_REPLY`, and also, after a restart, of a run that it takes up
        // again by itself. The words are the same, and only the second one passes: the session tells them apart.
        AgentError::Transient(reason)
    }
}

/// What an error is about, where its words tell more than its status.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Subject {
    /// The model's name.
    Model,
    /// The agent's name.
    Agent,
    /// The key by which the gateway asks its model.
    ModelKey,
    /// An account without money.
    Payment,
    /// The length of what the model was told.
    Length,
}

/// How vLLM, llama.cpp, litellm, Anthropic and Google say that a request is longer than what their model takes.
const TOO_LONG: [&str; 6] = [
    "maximum context length",
    "available context size",
    "exceed context window",
    "contextwindowexceedederror",
    "prompt is too long",
    "input token count",
];

fn subject(server_error: &ServerError) -> Option<Subject> {
    if server_error.is_of_kind(&["insufficient_quota", "billing"])
        || server_error.says(&["insufficient_quota"])
    {
        return Some(Subject::Payment);
    }
    if server_error.is_of_kind(&["context_length", "context_size", "contextwindowexceeded"])
        || server_error.says(&TOO_LONG)
    {
        return Some(Subject::Length);
    }
    if server_error.says(&["unknown agent", "no such agent", "multiple agents are configured"]) {
        return Some(Subject::Agent);
    }
    let is_unknown = server_error.says(&["not found", "does not exist", "not exist", "no such"])
        && server_error.says(&["model"]);
    if is_unknown
        || server_error.is_of_kind(&["model_not_found"])
        || server_error.says(&["invalid model", "invalid `model`", "unknown model"])
    {
        return Some(Subject::Model);
    }
    // A gateway that refuses our own token says so in words of its own: "unauthorized" (OpenClaw), "auth_error" (litellm).
    let is_own = server_error.message.is_empty()
        || ["invalid api key", "invalid x-api-key", "unauthorized"]
            .contains(&server_error.message.trim().to_lowercase().as_str());
    let is_providers = server_error.is_of_kind(&["authentication_error"])
        || server_error.says(&["authenticationerror", "exception -"]);
    (is_providers && !is_own).then_some(Subject::ModelKey)
}

/// A gateway's own words on one line, without its token and what no database takes, and of limited length.
pub(crate) fn tidy(message: &str, endpoint: &Endpoint) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ").replace(char::is_control, "");
    endpoint.redact(&line).chars().take(MESSAGE_LIMIT).collect()
}

/// `Retry-After` in seconds or as a date (RFC 9110, section 10.2.3). A date counts from the answer's own `Date`: this machine's clock may be wrong.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
        Err(_) => {
            let date = |text: &str| httpdate::parse_http_date(text).ok();
            let now = headers.get(DATE).and_then(|now| date(now.to_str().ok()?.trim()))?;
            date(text)?.duration_since(now).unwrap_or(Duration::ZERO)
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date() {
        let now: HeaderValue = "Wed, 21 Oct 2026 07:28:00 GMT".parse().unwrap();
        let cases = [
            ("7", Some(7)),
            ("Wed, 21 Oct 2026 07:29:30 GMT", Some(90)),
            ("Wed, 21 Oct 2026 07:00:00 GMT", Some(0)),
            ("99999999", Some(86400)),
            ("-1", None),
            ("soon", None),
        ];
        for (text, seconds) in cases {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap()), (DATE, now.clone())]);

            assert_eq!(retry_after(&headers), seconds.map(Duration::from_secs), "{text}");
        }
        let dateless = HeaderMap::from_iter([(RETRY_AFTER, now)]);
        assert_eq!(retry_after(&dateless), None, "nobody knows how long from now that is");
    }

    #[test]
    fn a_gateways_words_are_short_and_never_show_its_token() {
        let endpoint = Endpoint::new("http://a.example", &"s3cret".into()).unwrap();

        let tidied = tidy(&format!("bad key\n s3cret {}", "x".repeat(900)), &endpoint);

        assert!(tidied.starts_with("bad key *** x"), "{tidied}");
        assert_eq!(tidied.chars().count(), MESSAGE_LIMIT);
    }
}
