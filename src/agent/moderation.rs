//! Whether a text may reach the agent: `POST /v1/moderations` of any server that speaks OpenAI's language.

use std::collections::BTreeMap;
use std::time::Duration;

use outside::words;
use reqwest::Response;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer_body::read_body;
use crate::client::GatewayClient;
use crate::error::{AgentError, Trouble};
use crate::refusal::{self, Remedies};
use crate::target::{Endpoint, Target};

/// No category has a longer name.
const CATEGORY_CHARS: usize = 100;

const BODY_LIMIT_BYTES: usize = 1024 * 1024;

/// What a server says of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// It objects.
    pub flagged: bool,
    /// To what, in its own words and in alphabetical order.
    pub categories: Vec<String>,
}

/// Which server is asked, as the section `[moderation]` has it.
#[derive(Clone, Debug, Deserialize)]
pub struct ModeratorSettings {
    /// Where it is; empty: nobody is asked.
    pub base_url: String,
    /// Its token; empty: none.
    pub token: SecretString,
    /// The model that judges; empty: the server's own choice.
    pub model: String,
    /// What it gets for an answer.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

/// Asks one server.
#[derive(Clone, Debug)]
pub struct Moderator {
    client: GatewayClient,
    timeout: Duration,
}

/// Why there is no judgement. The texts hold no token, no phone number, and nothing of what was judged.
#[derive(Debug, thiserror::Error)]
pub enum ModerationError {
    /// The server is busy.
    #[error("the moderator is busy: {reason}")]
    RateLimited {
        /// When it wants to be asked again, if it said so.
        retry_after: Option<Duration>,
        /// Who said what.
        reason: String,
    },
    /// Nothing will work before the operator has changed something.
    #[error("moderation is not set up: {0}")]
    Configuration(String),
    /// It is away, slow, or says something else.
    #[error("the moderator gave no judgement: {0}")]
    NoJudgement(String),
}

impl From<AgentError> for ModerationError {
    fn from(error: AgentError) -> Self {
        match error {
            AgentError::RateLimited { retry_after, reason }
            | AgentError::Unavailable { trouble: Trouble::Busy | Trouble::LockedOut, retry_after, reason } => {
                Self::RateLimited { retry_after, reason }
            }
            AgentError::Transient(reason)
            | AgentError::Broken(reason)
            | AgentError::GaveUp(reason)
            | AgentError::Unfinished(reason)
            | AgentError::Corrected(reason)
            | AgentError::Refused { trouble: Trouble::Name, reason }
            | AgentError::Unavailable { reason, .. }
            | AgentError::TooLong(reason)
            | AgentError::Permanent(reason) => Self::NoJudgement(reason),
            AgentError::Configuration(reason) | AgentError::Refused { reason, .. } => {
                Self::Configuration(reason)
            }
            AgentError::TimedOut(timeout) => Self::NoJudgement(format!("no answer within {timeout:?}")),
            AgentError::Empty(_) => Self::NoJudgement("an empty answer".to_owned()),
        }
    }
}

/// What mends a refusal.
const REMEDIES: Remedies = Remedies {
    token: "check moderation.token",
    rights: "the account behind moderation.token may not have texts judged: give the token of one that may",
    payment: "the account behind moderation.token has to be paid for",
    provider: "the server's own key is refused by who stands behind it",
    agent: "check moderation.base_url",
    model: "set moderation.model to a model that this server has",
    address: "check moderation.base_url",
    moved: "set moderation.base_url to the final address",
};

impl Moderator {
    /// Asks this server.
    ///
    /// # Errors
    /// [`ModerationError::Configuration`] if it has no address, or no client can be made on this machine.
    pub fn new(settings: &ModeratorSettings) -> Result<Self, ModerationError> {
        let timeout = settings.timeout.max(Duration::from_millis(1));
        let target = Target { model: Some(settings.model.clone()), ..Target::default() };
        let endpoint = Endpoint::new(&settings.base_url, &settings.token)?;
        Ok(Self { client: GatewayClient::new(endpoint, timeout)?.asking(&target), timeout })
    }

    /// What it gets for an answer.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Has a text judged.
    ///
    /// # Errors
    /// [`ModerationError`] when there is no judgement; asking again may help.
    pub async fn judge(&self, text: &str) -> Result<Judgement, ModerationError> {
        let judged = crate::within(self.timeout, self.client.moderate(text)).await;
        let mut verdict = judged.map_err(|error| error.without_quotes(&[text]))?;
        for category in &mut verdict.categories {
            *category = words::of_others(category, &[text]).chars().take(CATEGORY_CHARS).collect();
        }
        Ok(verdict)
    }
}

pub(crate) fn body(text: &str, model: Option<&str>) -> Value {
    match model {
        Some(model) => json!({ "input": text, "model": model }),
        None => json!({ "input": text }),
    }
}

#[derive(Deserialize)]
struct Judgements {
    results: Vec<JudgedText>,
}

#[derive(Deserialize)]
struct JudgedText {
    flagged: bool,
    #[serde(default)]
    categories: BTreeMap<String, Option<bool>>,
}

/// What the server's answer means. One text is one result; of several, each may object.
pub(crate) async fn read(response: Response, endpoint: &Endpoint) -> Result<Judgement, AgentError> {
    if !response.status().is_success() {
        return Err(refusal::of(response, endpoint, &REMEDIES).await);
    }
    let body = read_body(response, endpoint, BODY_LIMIT_BYTES).await?;
    let answer: Judgements = serde_json::from_slice(&body).map_err(|error| {
        let error = words::without_literals(&error.to_string());
        AgentError::Transient(format!("{endpoint} did not answer as a moderation endpoint should: {error}"))
    })?;
    if answer.results.is_empty() {
        return Err(AgentError::Transient(format!("{endpoint} gave no judgement")));
    }
    let flagged = answer.results.iter().any(|result| result.flagged);
    let objections = answer.results.into_iter().flat_map(|result| result.categories);
    let mut categories: Vec<String> =
        objections.filter(|(_, objects)| *objects == Some(true)).map(|(name, _)| name).collect();
    categories.sort();
    categories.dedup();
    Ok(Judgement { flagged, categories })
}
