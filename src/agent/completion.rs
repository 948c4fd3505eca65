//! The answer to a turn: a whole `chat.completion`, or a stream of `chat.completion.chunk`.

use std::time::Duration;

use futures::StreamExt;
use outside::words;
use reqwest::Response;
use serde::Deserialize;
use tokio::time::{Instant, timeout};

use crate::client::{content_type, describe};
use crate::error::AgentError;
use crate::event_stream::EventReader;
use crate::refusal::{self, ErrorBody};
use crate::target::Endpoint;
use crate::turn::Reply;

/// What a gateway says when a run ended without an answer; the status is 200.
const NO_RESPONSE: &str = "No response from OpenClaw.";
/// What it puts into a stream when a run failed.
const INTERNAL_ERROR: &str = "Error: internal error";

/// The longest text that is taken in; a chat shows a hundredth of it.
const TEXT_LIMIT_BYTES: usize = 1024 * 1024;
/// The most that is read for it: in a stream every few letters come with a couple of hundred bytes around them.
const BODY_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// After the last word a stream is given this long for its end mark: to go away sooner might stop the run before it is put on record.
const END_MARK_GRACE: Duration = Duration::from_secs(2);

/// A completion or a part of one; a server that fails puts an error in its place.
#[derive(Deserialize)]
struct ChatCompletion {
    choices: Option<Vec<Choice>>,
    error: Option<ErrorBody>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: u32,
    /// In a stream.
    delta: Option<ChoiceMessage>,
    /// In a whole answer.
    message: Option<ChoiceMessage>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct ChoiceMessage {
    content: Option<ChoiceContent>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ChoiceContent {
    Text(String),
    Parts(Vec<ContentPart>),
}

#[derive(Deserialize)]
struct ContentPart {
    text: Option<String>,
}

/// What has been said so far.
#[derive(Default)]
struct SaidSoFar {
    text: String,
    /// Whether the last piece of it was the sentence of a failed run.
    failed: bool,
    filtered: bool,
    /// Whether the answer came to its end.
    finished: bool,
}

/// Reads an answer that comes as one document, as servers that do not stream give it.
pub(crate) async fn whole(response: Response, endpoint: &Endpoint) -> Result<String, AgentError> {
    let is_page = content_type(&response) == "text/html";
    let body = read_body(response, endpoint, BODY_LIMIT_BYTES).await?;
    if is_page {
        let problem = "answered with a web page, not a completion: check the agent's base URL";
        return Err(AgentError::Configuration(format!("{endpoint} {problem}")));
    }
    let mut said = SaidSoFar::default();
    said.hear(&body, endpoint)?;
    said.end()
}

/// Reads an answer that comes as a stream. Every packet is a sign of life, even one without words.
pub(crate) async fn streamed(
    response: Response,
    endpoint: &Endpoint,
    idle_timeout: Duration,
) -> Result<String, AgentError> {
    let mut packets = response.bytes_stream();
    let mut reader = EventReader::default();
    let mut said = SaidSoFar::default();
    let mut read_bytes = 0;
    let mut finished_at = None;
    loop {
        let patience = match finished_at {
            Some(finished_at) => END_MARK_GRACE.saturating_sub(Instant::now() - finished_at),
            None => idle_timeout,
        };
        let packet = match timeout(patience, packets.next()).await {
            Ok(Some(Ok(packet))) => packet,
            // What is complete stays complete however the connection ends.
            _ if said.finished => return said.end(),
            Ok(Some(Err(error))) => {
                let problem = describe(error);
                return Err(AgentError::Transient(format!("the answer of {endpoint} broke off: {problem}")));
            }
            Ok(None) => break,
            Err(_) => {
                let problem =
                    format!("{endpoint} fell silent for {idle_timeout:?} in the middle of its answer");
                return Err(AgentError::Transient(problem));
            }
        };
        read_bytes += packet.len();
        let events = reader.push(&packet).map_err(|_| too_long(endpoint))?;
        for event in events {
            if event.trim() == "[DONE]" {
                return said.end();
            }
            said.hear(event.as_bytes(), endpoint)?;
        }
        if read_bytes > BODY_LIMIT_BYTES {
            return Err(too_long(endpoint));
        }
        if said.finished {
            finished_at.get_or_insert_with(Instant::now);
        }
    }
    match reader.finish() {
        Some(event) if event.trim() == "[DONE]" => said.finished = true,
        Some(event) => said.hear(event.as_bytes(), endpoint)?,
        None => {}
    }
    if !said.finished {
        return Err(AgentError::Transient(format!("{endpoint} ended its answer in the middle")));
    }
    said.end()
}

/// What a text means: some texts are failures, and one is silence.
pub(crate) fn judge(text: String) -> Result<Reply, AgentError> {
    match text.trim() {
        "" | NO_RESPONSE => Err(AgentError::Empty),
        INTERNAL_ERROR => Err(failed_run()),
        _ => Ok(Reply::of(text)),
    }
}

impl SaidSoFar {
    /// Takes in a completion or a part of one.
    fn hear(&mut self, json: &[u8], endpoint: &Endpoint) -> Result<(), AgentError> {
        if json.trim_ascii().is_empty() {
            return Ok(());
        }
        let completion: ChatCompletion = serde_json::from_slice(json).map_err(|error| {
            let error = words::without_literals(&error.to_string());
            AgentError::Transient(format!(
                "{endpoint} answered with something else than a completion: {error}"
            ))
        })?;
        if let Some(problem) = completion.error {
            return Err(refusal::in_band(&problem, endpoint));
        }
        let first = completion.choices.unwrap_or_default().into_iter().find(|choice| choice.index == 0);
        let Some(choice) = first else { return Ok(()) };
        let message = choice.delta.or(choice.message);
        let piece =
            message.and_then(|message| message.content).map(ChoiceContent::into_text).unwrap_or_default();
        if !piece.is_empty() {
            self.failed = piece.trim() == INTERNAL_ERROR;
            self.text.push_str(&piece);
        }
        self.filtered |= choice.finish_reason.as_deref() == Some("content_filter");
        self.finished |= choice.finish_reason.is_some();
        if self.text.len() > TEXT_LIMIT_BYTES {
            return Err(too_long(endpoint));
        }
        Ok(())
    }

    fn end(self) -> Result<String, AgentError> {
        if self.failed {
            return Err(failed_run());
        }
        if self.filtered && self.text.trim().is_empty() {
            return Err(AgentError::Permanent("a content filter took the whole answer away".to_owned()));
        }
        Ok(self.text)
    }
}

impl ChoiceContent {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Parts(parts) => parts.into_iter().filter_map(|part| part.text).collect(),
        }
    }
}

/// Reads a body of limited size.
pub(crate) async fn read_body(
    response: Response,
    endpoint: &Endpoint,
    limit_bytes: usize,
) -> Result<Vec<u8>, AgentError> {
    let mut packets = response.bytes_stream();
    let mut body = Vec::new();
    while let Some(packet) = packets.next().await {
        let packet = packet.map_err(|error| {
            let problem = describe(error);
            AgentError::Transient(format!("the answer of {endpoint} broke off: {problem}"))
        })?;
        if body.len() + packet.len() > limit_bytes {
            return Err(too_long(endpoint));
        }
        body.extend_from_slice(&packet);
    }
    Ok(body)
}

fn failed_run() -> AgentError {
    AgentError::Transient(format!("the gateway said \"{INTERNAL_ERROR}\""))
}

fn too_long(endpoint: &Endpoint) -> AgentError {
    AgentError::Permanent(format!("the answer of {endpoint} is too long"))
}
