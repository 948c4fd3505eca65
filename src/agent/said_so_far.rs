//! What an answer has said so far, of a completion or of its parts, and what all of it means.

use outside::words;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::answer_body::too_long;
use crate::error::AgentError;
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
pub(crate) struct SaidSoFar {
    pub(crate) text: JsonText,
    /// Why the model would not answer. It is the answer where there is no other.
    refusal: JsonText,
    /// Whether anything has come that is a completion.
    pub(crate) is_completion: bool,
    /// Whether the last piece of the text was the sentence of a failed run.
    failed: bool,
    filtered: bool,
    called_tools: bool,
    cut: bool,
    /// Whether nothing has been said since the answer was said to have ended.
    pub(crate) ended: bool,
}

impl SaidSoFar {
    /// Takes in a completion or a part of one; some servers send them in lists.
    pub(crate) fn hear(&mut self, json: &str, endpoint: &Endpoint) -> Result<(), AgentError> {
        let misshapen =
            |error: serde_json::Error| no_completion(endpoint, &words::without_literals(&error.to_string()));
        if json.trim_start().starts_with('[') {
            let parts: Vec<&RawValue> = serde_json::from_str(json).map_err(misshapen)?;
            return parts.into_iter().try_for_each(|part| self.hear(part.get(), endpoint));
        }
        let completion: ChatCompletion<'_> = serde_json::from_str(json).map_err(misshapen)?;
        let server_error = completion.error.and_then(ServerError::under_error);
        let is_error = completion.object.and_then(json_text::text).as_deref() == Some("error");
        if let Some(server_error) =
            server_error.or_else(|| ServerError::of_document(json).filter(|_| is_error))
        {
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

    pub(crate) fn has_words(&self) -> bool {
        !self.text.is_blank() || !self.refusal.is_blank()
    }

    /// What all of it means: some texts are failures, and some of it is not for a person.
    pub(crate) fn end(self) -> Result<AgentAnswer, AgentError> {
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

pub(crate) fn no_completion(endpoint: &Endpoint, problem: &str) -> AgentError {
    let problem = if problem.is_empty() { String::new() } else { format!(": {problem}") };
    AgentError::Transient(format!("{endpoint} answered with something else than a completion{problem}"))
}
