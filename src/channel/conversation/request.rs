//! What a turn tells the agent: everything that people said, as words and pictures.

use std::collections::HashMap;
use std::time::Duration;

use agent::Agent;
use agent::memory::Memory;
use agent::turn::{Channel, TurnPart, TurnRequest};
use serde_json::Value;
use sqlx::PgConnection;
use store::ids::{ConversationId, MessageId};
use store::messages::Said;
use store::takeovers::{self, SaidByHand};
use store::turns::Turn;

use super::attachments::{self, Fetched};
use super::{memory, message_text};
use crate::app::App;

/// What the agent is asked in a turn. Files are fetched here, and what came of each is kept; a file that is not to be had is named in words.
/// `was_answered_by_hand`: an agent that keeps the history itself has to be told what a person said meanwhile.
pub async fn build(
    app: &App,
    agent: &Agent,
    turn: &Turn,
    messages: &[Said],
    was_answered_by_hand: bool,
) -> sqlx::Result<TurnRequest> {
    let memory = memory::of(app, agent, turn).await?;
    let said_by_hand = match &memory {
        Memory::Gateway if was_answered_by_hand => {
            takeovers::unknown_to_agent(&mut *app.pg.acquire().await?, turn).await?
        }
        Memory::Gateway | Memory::Thread(_) => Vec::new(),
    };
    let mut fetched = attachments::fetch(app, messages).await?;
    let params = messages.iter().map(|said| &said.params);
    let replied_to = replied_to(&mut *app.pg.acquire().await?, turn.conversation_id, params).await?;
    let is_whatsapp = messages.iter().any(|said| said.address_id.is_some());
    Ok(TurnRequest {
        conversation_id: session_key(app, turn.conversation_id),
        memory,
        channel: if is_whatsapp { Channel::Whatsapp } else { Channel::Dashboard },
        parts: in_words(&said_by_hand)
            .into_iter()
            .chain(messages.iter().flat_map(|said| parts(said, &mut fetched, &replied_to)))
            .collect(),
        asked_before: asked_before(app, turn, turn.calls > 1).await?,
        timeout: app.settings.agent.timeout,
    })
}

/// What the agent is asked by a schedule. `is_again`: it was asked before, perhaps in another turn.
pub async fn of_prompt(
    app: &App,
    agent: &Agent,
    turn: &Turn,
    prompt: String,
    is_again: bool,
) -> sqlx::Result<TurnRequest> {
    let memory = memory::of(app, agent, turn).await?;
    let said_by_hand = match &memory {
        Memory::Gateway => takeovers::unknown_to_agent(&mut *app.pg.acquire().await?, turn).await?,
        Memory::Thread(_) => Vec::new(),
    };
    Ok(TurnRequest {
        conversation_id: session_key(app, turn.conversation_id),
        memory,
        channel: Channel::Whatsapp,
        parts: in_words(&said_by_hand).into_iter().chain([TurnPart::Text(prompt)]).collect(),
        asked_before: asked_before(app, turn, is_again).await?,
        timeout: app.settings.agent.timeout,
    })
}

/// What was said by hand while the agent rested.
fn in_words(said_by_hand: &[SaidByHand]) -> Option<TurnPart> {
    if said_by_hand.is_empty() {
        return None;
    }
    let lines = said_by_hand.iter().flat_map(|said| {
        let asked = said.asked.as_ref().map(|asked| format!("The user: {asked}"));
        asked.into_iter().chain([format!("The person: {}", said.answered)])
    });
    let lines: Vec<String> = lines.collect();
    Some(TurnPart::Text(format!("[A person of the team answered in your place:\n{}]", lines.join("\n"))))
}

/// How long ago the agent was first asked in this turn, if it was asked before.
async fn asked_before(app: &App, turn: &Turn, is_again: bool) -> sqlx::Result<Option<Duration>> {
    if !is_again {
        return Ok(None);
    }
    let now = store::clock::now(&mut *app.pg.acquire().await?).await?;
    Ok(Some((now - turn.started_at).to_std().unwrap_or_default()))
}

/// What the agent calls a conversation. Other deployments may have the same gateway, and a conversation of the same number.
pub fn session_key(app: &App, conversation_id: ConversationId) -> String {
    format!("conversation-{}-{conversation_id}", app.deployment)
}

fn parts(
    said: &Said,
    fetched: &mut HashMap<(MessageId, i32), Fetched>,
    replied_to: &HashMap<String, String>,
) -> Vec<TurnPart> {
    let files = message_text::files(&said.params);
    let mut text = message_text::before(&said.params, replied_to);
    text.extend(message_text::said(&said.body, &said.params));
    let mut pictures = Vec::new();
    for file in files {
        match fetched.remove(&(said.id, file.index)) {
            Some(Fetched::Picture { mime, bytes }) => pictures.push(TurnPart::Image { mime, bytes }),
            Some(Fetched::Words(words)) => text.push(words),
            None => text.push(file.in_words("not shown")),
        }
    }
    if text.is_empty() && pictures.is_empty() {
        text.extend(message_text::unknown(&said.params));
    }
    let text = text.join("\n");
    let text = (!text.is_empty()).then_some(TurnPart::Text(text));
    text.into_iter().chain(pictures).collect()
}

/// The texts of the messages that these are replies to, by Twilio's id.
pub(super) async fn replied_to(
    conn: &mut PgConnection,
    conversation_id: ConversationId,
    params: impl Iterator<Item = &Value>,
) -> sqlx::Result<HashMap<String, String>> {
    let sids: Vec<&str> = params.filter_map(message_text::replied_to).collect();
    if sids.is_empty() {
        return Ok(HashMap::new());
    }
    store::entries::texts_of_sids(conn, conversation_id, &sids).await
}
