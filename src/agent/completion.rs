//! The answer to a turn: a whole `chat.completion`, or a stream of `chat.completion.chunk`, from whatever server.

use std::time::Duration;

use futures::StreamExt;
use outside::words;
use reqwest::header::TRANSFER_ENCODING;
use reqwest::{Response, Version};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout};

use crate::answer_body::{AnswerReader, BodyEnd, BodyPiece, too_long};
use crate::client::describe;
use crate::error::{AgentError, Trouble};
use crate::json_text::{self, JsonText};
use crate::refusal;
use crate::server_error::ServerError;
use crate::target::Endpoint;
use crate::turn::{AgentAnswer, Reply};
use crate::withheld::Withheld;

/// What a gateway says when a run ended without an answer; the status is 200.
const NO_RESPONSE: &str = "No response from OpenClaw.";
/// What it puts into a stream when a run failed.
const INTERNAL_ERROR: &str = "Error: internal error";
/// Tells a person that there would have been more.
const CUT_SHORT: &str = "\n\n[The answer was cut off here, because it reached its longest length.]";

/// The longest text that is taken in; a chat shows a hundredth of it.
const TEXT_LIMIT_BYTES: usize = 1024 * 1024;
/// The most that is read for it: in a stream every few letters come with a couple of hundred bytes around them.
const BODY_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// After the last word a stream is given this long for its end mark: to go away sooner might stop the run before it is put on record.
const END_MARK_GRACE: Duration = Duration::from_secs(2);

/// Reasons that end no answer: the agent goes on when its tools have been called.
const GOING_ON: [&str; 4] = ["", "null", "tool_calls", "function_call"];
/// Reasons of an answer that was cut off.
const TOO_LONG: [&str; 4] = ["length", "max_tokens", "max_output_tokens", "model_length"];

/// A completion or a part of one. Of most fields each may hold anything.
#[derive(Deserialize)]
struct ChatCompletion<'a> {
    #[serde(borrow)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    object: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    index: Option<&'a RawValue>,
    /// In a stream.
    #[serde(borrow)]
    delta: Option<ChoiceMessage<'a>>,
    /// In a whole answer.
    #[serde(borrow)]
    message: Option<ChoiceMessage<'a>>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ChoiceMessage<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ContentPart<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
}

/// What has been said so far.
#[derive(Default)]
struct SaidSoFar {
    text: JsonText,
    /// Why the model would not answer. It is the answer where there is no other.
    refusal: JsonText,
    /// Whether anything has come that is a completion.
    is_completion: bool,
    /// Whether the last piece of the text was the sentence of a failed run.
    failed: bool,
    filtered: bool,
    called_tools: bool,
    cut: bool,
    /// Whether nothing has been said since the answer was said to have ended.
    ended: bool,
}

/// Reads an answer. Every packet is a sign of life, even one without words.
pub(crate) async fn read(
    response: Response,
    endpoint: &Endpoint,
    idle_timeout: Duration,
) -> Result<AgentAnswer, AgentError> {
    let has_own_end = has_own_end(&response);
    let mut packets = response.bytes_stream();
    let mut reader = AnswerReader::default();
    let mut said = SaidSoFar::default();
    let mut read_bytes = 0;
    // When the last words came, if they are the end of the answer.
    let mut finished_at: Option<Instant> = None;
    loop {
        let patience = match finished_at {
            Some(finished_at) => END_MARK_GRACE.saturating_sub(finished_at.elapsed()),
            None => idle_timeout,
        };
        let packet = match timeout(patience, packets.next()).await {
            Ok(Some(Ok(packet))) => packet,
            // What is complete stays complete however the connection ends.
            _ if finished_at.is_some() => return said.end(),
            Ok(Some(Err(error))) => {
                let problem = describe(error);
                return Err(AgentError::Broken(format!("the answer of {endpoint} broke off: {problem}")));
            }
            Ok(None) => break,
            Err(_) => {
                let problem =
                    format!("{endpoint} fell silent for {idle_timeout:?} in the middle of its answer");
                return Err(AgentError::Broken(problem));
            }
        };
        read_bytes += packet.len();
        let before = said.text.len();
        for piece in reader.push(&packet).map_err(|_| too_long(endpoint))? {
            match piece {
                BodyPiece::End => return said.end(),
                BodyPiece::Json(json) => said.hear(&json, endpoint)?,
                BodyPiece::Page => return Err(page(endpoint)),
            }
        }
        if read_bytes > BODY_LIMIT_BYTES {
            return Err(too_long(endpoint));
        }
        // A stop among thoughts, before anything was said, ends nothing.
        if !said.ended || !said.has_words() {
            finished_at = None;
        } else if said.text.len() > before || finished_at.is_none() {
            finished_at = Some(Instant::now());
        }
    }
    match reader.finish() {
        BodyEnd::Whole(Some(BodyPiece::Json(json))) if is_half(&json) => return Err(unfinished(endpoint)),
        BodyEnd::Whole(Some(BodyPiece::Json(json))) => said.hear(&json, endpoint)?,
        BodyEnd::Whole(Some(BodyPiece::End)) => said.ended = true,
        BodyEnd::Whole(_) if read_bytes > 0 && !said.is_completion => {
            return Err(no_completion(endpoint, ""));
        }
        BodyEnd::Whole(_) => {}
        BodyEnd::InTheMiddle => return Err(unfinished(endpoint)),
    }
    if !has_own_end && !said.ended && said.has_words() {
        return Err(unfinished(endpoint));
    }
    said.end()
}

/// Whether a document ends in the middle.
fn is_half(json: &str) -> bool {
    serde_json::from_str::<&RawValue>(json).is_err_and(|error| error.is_eof())
}

/// Whether HTTP itself marks the end of a body. Where nothing but the end of the connection does, the rest may have been lost. That is known of the last
/// hop alone: a proxy before it that loses the rest and ends the body properly cannot be told from a server that marks no ends.
fn has_own_end(response: &Response) -> bool {
    response.version() > Version::HTTP_11
        || response.headers().contains_key(TRANSFER_ENCODING)
        || response.content_length().is_some()
}

impl SaidSoFar {
    /// Takes in a completion or a part of one; some servers send them in lists.
    fn hear(&mut self, json: &str, endpoint: &Endpoint) -> Result<(), AgentError> {
        let misshapen =
            |error: serde_json::Error| no_completion(endpoint, &words::without_literals(&error.to_string()));
        if json.trim_start().starts_with('[') {
            let parts: Vec<&RawValue> = serde_json::from_str(json).map_err(misshapen)?;
            return parts.into_iter().try_for_each(|part| self.hear(part.get(), endpoint));
        }
        let completion: ChatCompletion<'_> = serde_json::from_str(json).map_err(misshapen)?;
        let server_error = completion.error.and_then(ServerError::under_error);
        let is_error = completion.object.and_then(json_text::text).as_deref() == Some("error");
        if let Some(problem) = server_error.or_else(|| ServerError::of_document(json).filter(|_| is_error)) {
            return Err(refusal::in_band(&server_error, endpoint));
        }
        self.is_completion = true;
        let is_first =
            |choice: &Choice<'_>| choice.index.is_none_or(|index| matches!(index.get(), "0" | "null"));
        let Some(choice) = completion.choices.unwrap_or_default().into_iter().find(is_first) else {
            return Ok(());
        };
        let reason = choice.finish_reason.and_then(json_text::text).unwrap_or_default();
        let reason = reason.trim().to_ascii_lowercase();
        let ends = !GOING_ON.contains(&reason.as_str());
        self.cut |= TOO_LONG.contains(&reason.as_str());
        self.filtered |= reason == "content_filter";
        self.called_tools |= matches!(reason.as_str(), "tool_calls" | "function_call");
        match (choice.delta, choice.message) {
            (Some(delta), _) => self.hear_piece(delta),
            (None, Some(message)) => self.hear_whole(message),
            (None, None) => {}
        }
        self.ended |= ends;
        if self.text.len() + self.refusal.len() > TEXT_LIMIT_BYTES {
            return Err(too_long(endpoint));
        }
        Ok(())
    }

    fn hear_piece(&mut self, delta: ChoiceMessage<'_>) {
        let (text, refusal) = self.words_of(delta);
        if text.len() > 0 {
            self.failed = text.is(INTERNAL_ERROR);
        }
        self.ended &= text.len() + refusal.len() == 0;
        self.text.append(&text);
        self.refusal.append(&refusal);
    }

    /// A message is whole. At the end of a stream it says once more what its pieces have said.
    fn hear_whole(&mut self, message: ChoiceMessage<'_>) {
        let (text, refusal) = self.words_of(message);
        if text.starts_with(&self.text) {
            self.text = JsonText::default();
        }
        self.failed = text.is(INTERNAL_ERROR);
        self.text.append(&text);
        self.refusal.append(&refusal);
        self.ended = true;
    }

    /// What a message says, and why it says nothing else.
    fn words_of(&mut self, message: ChoiceMessage<'_>) -> (JsonText, JsonText) {
        self.called_tools |= message.tool_calls.is_some_and(|calls| !matches!(calls.get(), "null" | "[]"));
        let (mut text, mut refusal) = (JsonText::default(), JsonText::default());
        if let Some(content) = message.content {
            text.push(content);
            let parts: Vec<ContentPart<'_>> = serde_json::from_str(content.get()).unwrap_or_default();
            for part in parts {
                part.text.into_iter().for_each(|part| text.push(part));
                part.refusal.into_iter().for_each(|part| refusal.push(part));
            }
        }
        message.refusal.into_iter().for_each(|part| refusal.push(part));
        (text, refusal)
    }

    fn has_words(&self) -> bool {
        !self.text.is_blank() || !self.refusal.is_blank()
    }

    /// What all of it means: some texts are failures, and some of it is not for a person.
    fn end(self) -> Result<AgentAnswer, AgentError> {
        let answer = if self.text.is_blank() { self.refusal } else { self.text };
        let text = answer.into_text();
        if self.failed || text.trim() == INTERNAL_ERROR {
            return Err(AgentError::Transient(format!("the gateway said \"{INTERNAL_ERROR}\"")));
        }
        match text.trim() {
            "" if self.filtered => {
                Err(AgentError::Permanent("a content filter took the whole answer away".to_owned()))
            }
            "" if self.called_tools => {
                let problem = "it called tools and said nothing: only a gateway that runs them can answer";
                Err(AgentError::Permanent(problem.to_owned()))
            }
            "" | NO_RESPONSE => Err(AgentError::Empty(Withheld::default())),
            _ => {
                let mut answer = AgentAnswer::of(&text)?;
                if let Reply::Text(text) = &mut answer.reply {
                    match text.trim() {
                        NO_RESPONSE => return Err(AgentError::Empty(answer.withheld)),
                        _ if self.cut => text.push_str(CUT_SHORT),
                        _ => {}
                    }
                }
                Ok(answer)
            }
        }
    }
}

fn unfinished(endpoint: &Endpoint) -> AgentError {
    AgentError::Unfinished(format!("{endpoint} ended its answer in the middle"))
}

fn no_completion(endpoint: &Endpoint, problem: &str) -> AgentError {
    let problem = if problem.is_empty() { String::new() } else { format!(": {problem}") };
    AgentError::Transient(format!("{endpoint} answered with something else than a completion{problem}"))
}

fn page(endpoint: &Endpoint) -> AgentError {
    let problem = "answered with a web page, not a completion: check the agent's base URL";
    AgentError::Refused { trouble: Trouble::Endpoint, reason: format!("{endpoint} {problem}") }
}
