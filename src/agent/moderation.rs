//! Whether a text may reach the agent: `POST /v1/moderations` of any server that speaks OpenAI's language.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::Client;
use crate::completion::read_body;
use crate::error::AgentError;
use crate::refusal;
use crate::target::{Endpoint, Target};

const BODY_LIMIT_BYTES: usize = 1024 * 1024;

/// What a server says of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// It objects.
    pub flagged: bool,
    /// To what, in its own words and in alphabetical order.
    pub categories: Vec<String>,
}

/// Asks one server.
#[derive(Clone, Debug)]
pub struct Moderator {
    client: Client,
    timeout: Duration,
}

/// A judgement could not be had.
#[derive(Debug, thiserror::Error)]
#[error("moderation failed: {0}")]
pub struct ModerationError(#[from] pub AgentError);

impl Moderator {
    /// A server at this address, asked with this model, or with its own choice. It gets `timeout` for an answer.
    ///
    /// # Errors
    /// [`AgentError::Configuration`] if this is no address, or no client can be made on this machine.
    pub fn new(
        base_url: &str,
        token: &str,
        model: Option<String>,
        timeout: Duration,
    ) -> Result<Self, AgentError> {
        let target = Target { model, ..Target::default() };
        let client = Client::new(Endpoint::new(base_url, token)?, timeout)?.asking(&target);
        Ok(Self { client, timeout })
    }

    /// Has a text judged.
    ///
    /// # Errors
    /// [`ModerationError`] when there is no judgement; asking again may help.
    pub async fn judge(&self, text: &str) -> Result<Verdict, ModerationError> {
        Ok(crate::within(self.timeout, self.client.moderate(text)).await?)
    }
}

pub(crate) fn body(text: &str, model: Option<&str>) -> Value {
    match model {
        Some(model) => json!({ "input": text, "model": model }),
        None => json!({ "input": text }),
    }
}

#[derive(Deserialize)]
struct Answer {
    results: Vec<Judged>,
}

#[derive(Deserialize)]
struct Judged {
    flagged: bool,
    #[serde(default)]
    categories: BTreeMap<String, Option<bool>>,
}

/// What the server's answer means. One text is one result; of several, each may object.
pub(crate) async fn read(response: Response, endpoint: &Endpoint) -> Result<Verdict, AgentError> {
    if !response.status().is_success() {
        return Err(refusal::of(response, endpoint, "check moderation.base_url").await);
    }
    let body = read_body(response, endpoint, BODY_LIMIT_BYTES).await?;
    let answer: Answer = serde_json::from_slice(&body).map_err(|error| {
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
    Ok(Verdict { flagged, categories })
}
