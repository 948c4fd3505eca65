//! The request of a turn: `POST /v1/chat/completions` as OpenAI has it, with the headers that OpenClaw adds.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::error::AgentError;
use crate::memory::{Memory, PastMessage, Role};
use crate::target::Target;
use crate::turn::{Channel, IMAGE_BYTES, IMAGE_TYPES, IMAGES, TurnPart, TurnRequest};

/// What all images of a turn may have in base64, so that a body stays below a gateway's 20 MB.
const ENCODED_BYTES: usize = 18 * 1024 * 1024;

/// Sessions of these names are the gateway's own, and it answers 400.
const RESERVED: [&str; 3] = ["subagent:", "cron:", "acp:"];

/// Told to a gateway of a second call, in front of the question. What the question asks for may have been done in part.
const ONCE_MORE: &str = "The user's message below was sent before, and the answer to it was lost. Answer it now. Whatever you have already \
                         done for it, do not do it again.";

/// Told to a gateway of a second call in place of the question, which its history has.
pub(crate) const REMINDER: &str = "[This is no new message. The answer to my last message above did not reach me. Please give me that answer now. Whatever you \
                                   have already done for it, do not do it again.]";

/// Told to a server without a history of a second call. It stands before the question: the chat templates of some models take no system message.
const SENT_BEFORE: &str = "[The following was sent before, and the answer to it was lost. What has already been done for it must not be done again.]";

/// Stands before a history that begins with the assistant: the chat templates of some models want the user first.
const ASSISTANT_FIRST: &str = "[The assistant wrote:]";

/// How an answer shall come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerForm {
    /// In pieces, as the model says them.
    Stream,
    /// At the end.
    Whole,
}

/// How often a turn was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Never.
    New,
    /// Before.
    Again,
    /// Before, and the gateway's history has the question.
    AgainAndKept,
}

/// The body, with as much of the turn's past as `memory` has.
pub(crate) fn body(
    turn: &TurnRequest,
    memory: &Memory,
    target: &Target,
    form: AnswerForm,
    asked: Asked,
) -> Value {
    let messages = match memory {
        Memory::Gateway if asked == Asked::AgainAndKept => {
            vec![json!({ "role": Role::Person.as_str(), "content": REMINDER })]
        }
        Memory::Gateway => turn_alone(&turn.parts, asked != Asked::New),
        Memory::Thread(past) => with_past(past, &turn.parts, asked != Asked::New),
    };
    json!({
        "model": model(target),
        "user": session(&turn.conversation_id),
        "stream": form == AnswerForm::Stream,
        "messages": messages,
    })
}

/// The gateway keeps the history of the session that `user` names.
fn turn_alone(parts: &[TurnPart], is_again: bool) -> Vec<Value> {
    let once_more = is_again.then(|| json!({ "role": "system", "content": ONCE_MORE }));
    once_more.into_iter().chain([json!({ "role": "user", "content": content(parts) })]).collect()
}

/// Person and assistant by turns, since the chat templates of some models refuse anything else. What the person said last, and nobody
/// answered, is one message with the turn.
fn with_past(past: &[PastMessage], parts: &[TurnPart], is_again: bool) -> Vec<Value> {
    let mut told: Vec<(Role, String)> = Vec::new();
    for said in past {
        match told.last_mut() {
            Some((role, text)) if *role == said.role => {
                text.push_str("\n\n");
                text.push_str(&said.text);
            }
            None if said.role == Role::Assistant => {
                told.push((Role::Person, ASSISTANT_FIRST.to_owned()));
                told.push((said.role, said.text.clone()));
            }
            _ => told.push((said.role, said.text.clone())),
        }
    }
    let unanswered = told.pop_if(|(role, _)| *role == Role::Person).map(|(_, text)| text);
    let before = unanswered.into_iter().chain(is_again.then(|| SENT_BEFORE.to_owned()));
    let before: Vec<TurnPart> = before.map(TurnPart::Text).collect();
    let question = json!({ "role": Role::Person.as_str(), "content": content(before.iter().chain(parts)) });
    let told = told.into_iter().map(|(role, text)| json!({ "role": role.as_str(), "content": text }));
    told.chain([question]).collect()
}

/// The headers of OpenClaw, which other servers ignore.
pub(crate) fn headers(turn: &TurnRequest, target: &Target) -> Result<HeaderMap, AgentError> {
    let channel = match turn.channel {
        Channel::Whatsapp => "whatsapp",
        Channel::Dashboard => "dashboard",
    };
    let mut headers = HeaderMap::new();
    headers.insert("x-openclaw-message-channel", HeaderValue::from_static(channel));
    // By this name the session is known to the gateway's tools, too; `user` alone gives it another one.
    let session = header(&session_key(&turn.conversation_id, target), "conversation's name")?;
    headers.insert("x-openclaw-session-key", session);
    if let Some(agent_id) = &target.agent_id {
        headers.insert(HeaderName::from_static("x-openclaw-agent-id"), header(agent_id, "agent id")?);
        if let Some(model) = &target.model {
            headers.insert(HeaderName::from_static("x-openclaw-model"), header(model, "model")?);
        }
    }
    Ok(headers)
}

/// On OpenClaw `model` chooses the agent, elsewhere the model.
pub(crate) fn model(target: &Target) -> String {
    match (&target.agent_id, &target.model) {
        (Some(agent_id), _) => format!("openclaw/{agent_id}"),
        (None, Some(model)) => model.clone(),
        (None, None) => "openclaw".to_owned(),
    }
}

/// What the gateway calls the session of a conversation.
pub(crate) fn session(conversation_id: &str) -> String {
    let is_reserved = RESERVED
        .iter()
        .any(|name| conversation_id.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name)));
    if is_reserved { format!("conversation:{conversation_id}") } else { conversation_id.to_owned() }
}

/// The key of that session among all agents' sessions. A key without an agent belongs to the gateway's default agent, which then answers in
/// place of the agent that header and model name.
pub(crate) fn session_key(conversation_id: &str, target: &Target) -> String {
    let session = session(conversation_id);
    match &target.agent_id {
        Some(agent_id) => format!("agent:{}:{session}", agent_id.trim()),
        None => session,
    }
}

/// The words of the question, as a gateway keeps them.
pub(crate) fn question(parts: &[TurnPart]) -> String {
    let content = content(parts);
    let text = content.as_str().or_else(|| content[0]["text"].as_str());
    text.unwrap_or_default().to_owned()
}

/// A plain text where there is no image, since not every server knows parts.
fn content<'a>(parts: impl IntoIterator<Item = &'a TurnPart>) -> Value {
    let mut texts: Vec<String> = Vec::new();
    let mut images = Vec::new();
    let mut room = ENCODED_BYTES;
    for part in parts {
        match part {
            TurnPart::Text(text) if text.trim().is_empty() => {}
            TurnPart::Text(text) => texts.push(text.clone()),
            TurnPart::Image { mime, bytes } => {
                match image(mime, bytes, room).filter(|_| images.len() < IMAGES) {
                    Some(url) => {
                        room -= url.len();
                        // A model that sees no pictures still knows that there was one.
                        texts.push(format!("[{}]", part.in_words()));
                        images.push(json!({ "type": "image_url", "image_url": { "url": url } }));
                    }
                    // Named, so that nothing is silently lost.
                    None => texts.push(format!(
                        "[{}, not shown: too large, too many, or of an unknown kind]",
                        part.in_words()
                    )),
                }
            }
        }
    }
    let mut text = texts.join("\n");
    if images.is_empty() {
        if text.is_empty() {
            text.push_str("[an empty message]");
        }
        return Value::String(text);
    }
    if !text.is_empty() {
        images.insert(0, json!({ "type": "text", "text": text }));
    }
    Value::Array(images)
}

/// An image as a data URI, if a gateway takes it.
fn image(mime: &str, bytes: &[u8], room: usize) -> Option<String> {
    let kind = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let fits = (1..=IMAGE_BYTES).contains(&bytes.len()) && bytes.len() / 3 * 4 + 64 <= room;
    (fits && IMAGE_TYPES.contains(&kind.as_str()))
        .then(|| format!("data:{kind};base64,{}", STANDARD.encode(bytes)))
}

fn header(text: &str, name: &str) -> Result<HeaderValue, AgentError> {
    HeaderValue::from_str(text.trim())
        .map_err(|_| AgentError::Configuration(format!("the {name} has characters that no header can hold")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image_part(mime: &str, size_bytes: usize) -> TurnPart {
        TurnPart::Image { mime: mime.to_owned(), bytes: vec![7; size_bytes] }
    }

    #[test]
    fn an_image_that_a_gateway_would_refuse_is_named_instead() {
        let parts = [
            TurnPart::Text("look".to_owned()),
            image_part("image/bmp", 3),
            image_part("image/png", IMAGE_BYTES + 1),
        ];

        let Value::String(text) = content(&parts) else { panic!("no image is left") };

        assert!(text.starts_with("look\n[picture (image/bmp, 1 KB), not shown"), "{text}");
        assert_eq!(text.lines().count(), 3);
    }

    #[test]
    fn images_beyond_the_limits_of_a_request_are_named_instead() {
        let many: Vec<TurnPart> = (0..9).map(|_| image_part("image/png", 10)).collect();
        let large: Vec<TurnPart> = (0..3).map(|_| image_part("image/png", IMAGE_BYTES / 2)).collect();

        for (parts, images) in [(many, 8), (large, 2)] {
            let content = content(&parts);

            assert_eq!(content.as_array().map(Vec::len), Some(images + 1));
            assert!(content[0]["text"].as_str().unwrap().contains("not shown"));
        }
    }

    #[test]
    fn a_conversation_never_takes_a_name_that_belongs_to_the_gateway() {
        for (conversation_id, name) in
            [("whatsapp-7", "whatsapp-7"), ("cron:7", "conversation:cron:7"), ("ACP:x", "conversation:ACP:x")]
        {
            assert_eq!(session(conversation_id), name);
        }
    }
}
