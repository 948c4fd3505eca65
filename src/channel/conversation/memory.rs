//! What an agent is told of a conversation before a turn: nothing where its gateway keeps the history, else the end of the thread.

use std::collections::HashMap;

use agent::Agent;
use agent::memory::{Memory, MemoryKeeper, PastMessage, Role};
use serde::Deserialize;
use store::entries::PastEntry;
use store::gateways;
use store::turns::Turn;

use super::{message_text, request};
use crate::app::App;

/// One text takes no more than this part of what may go along, so that a long answer leaves room for its question.
const LONGEST_TEXT: usize = 4;

/// What the operator decided about memory.
#[derive(Clone, Copy, Debug)]
pub struct MemorySettings {
    /// Who keeps the history at the deployment's gateway; `None`: it is asked what it is. Users' own gateways always are.
    pub keeper: Option<MemoryKeeper>,
    /// How much goes along where the thread is the history.
    pub limits: MemoryLimits,
}

/// How much of a thread goes along, as the section `[openclaw]` has it.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct MemoryLimits {
    /// Entries of the thread at most.
    #[serde(rename = "memory_entries")]
    pub entries: u16,
    /// The size of their texts together.
    #[serde(rename = "memory_limit_bytes")]
    pub limit_bytes: usize,
}

/// What this agent has to be told.
pub(super) async fn of(app: &App, agent: &Agent, turn: &Turn) -> sqlx::Result<Memory> {
    match keeper(app, agent).await? {
        MemoryKeeper::Gateway => Ok(Memory::Gateway),
        MemoryKeeper::Thread => past(app, turn).await.map(Memory::Thread),
    }
}

/// Who keeps the history. The thread goes along to a server that has never told what it is: a gateway then has something twice, and nothing is
/// lost. What a gateway once was it remains until it tells otherwise.
async fn keeper(app: &App, agent: &Agent) -> sqlx::Result<MemoryKeeper> {
    let Some(endpoint) = agent.endpoint() else { return Ok(MemoryKeeper::Gateway) };
    let is_deployments =
        app.agent.endpoint().is_some_and(|deployments| deployments.is_same_gateway(endpoint));
    if let Some(keeper) = app.settings.memory.keeper.filter(|_| is_deployments) {
        return Ok(keeper);
    }
    let known = gateways::get(&mut *app.pg.acquire().await?, endpoint.address()).await?;
    let before = known.as_ref().and_then(|gateway| gateway.memory);
    if known.is_some_and(|gateway| !gateway.is_due) {
        return Ok(before.map_or(MemoryKeeper::Thread, of_stored));
    }
    // No connection is held meanwhile.
    let asked = agent.memory_keeper().await;
    let answered = asked.is_ok();
    let told = asked.unwrap_or_else(|error| {
        tracing::debug!("{endpoint} does not tell whether it keeps the history of conversations: {error}");
        None
    });
    let mut conn = app.pg.acquire().await?;
    let now = gateways::note(&mut conn, endpoint.address(), told.map(to_store), answered).await?;
    if now != before {
        match now {
            Some(gateways::MemoryKeeper::Gateway) => {
                tracing::info!("{endpoint} is an OpenClaw gateway, and keeps the history of conversations");
            }
            Some(gateways::MemoryKeeper::Thread) => {
                tracing::info!("{endpoint} keeps no history, so the thread goes along with each turn");
            }
            None => {}
        }
    }
    Ok(now.map_or(MemoryKeeper::Thread, of_stored))
}

fn of_stored(keeper: gateways::MemoryKeeper) -> MemoryKeeper {
    match keeper {
        gateways::MemoryKeeper::Gateway => MemoryKeeper::Gateway,
        gateways::MemoryKeeper::Thread => MemoryKeeper::Thread,
    }
}

fn to_store(keeper: MemoryKeeper) -> gateways::MemoryKeeper {
    match keeper {
        MemoryKeeper::Gateway => gateways::MemoryKeeper::Gateway,
        MemoryKeeper::Thread => gateways::MemoryKeeper::Thread,
    }
}

/// The end of the thread before a turn, the oldest first.
async fn past(app: &App, turn: &Turn) -> sqlx::Result<Vec<PastMessage>> {
    let MemoryLimits { entries, limit_bytes } = app.settings.memory.limits;
    let text_bytes = limit_bytes / LONGEST_TEXT;
    // One more than is shown, so that a text that was cut here is seen to be cut.
    let text_chars = i32::try_from(text_bytes).unwrap_or(i32::MAX).saturating_add(1);
    let mut conn = app.pg.acquire().await?;
    let entries = store::entries::before_turn(&mut conn, turn, entries.into(), text_chars).await?;
    let params = entries.iter().filter_map(|entry| entry.params.as_ref());
    let replied_to = request::replied_to(&mut conn, turn.conversation_id, params).await?;
    drop(conn);
    Ok(fitting(&entries, &replied_to, limit_bytes))
}

/// What goes along of these entries, which come the newest first: whole texts as long as there is room.
fn fitting(
    entries: &[PastEntry],
    replied_to: &HashMap<String, String>,
    limit_bytes: usize,
) -> Vec<PastMessage> {
    let mut room = limit_bytes;
    let mut past = Vec::new();
    for entry in entries {
        let text = in_words(entry, replied_to);
        if text.trim().is_empty() {
            continue;
        }
        let text = cut(text, limit_bytes / LONGEST_TEXT);
        let Some(left) = room.checked_sub(text.len()) else { break };
        room = left;
        let role = if entry.by_person { Role::Person } else { Role::Assistant };
        past.push(PastMessage { role, text });
    }
    past.reverse();
    past
}

/// An entry in words: the agent's own as it was stored, a person's with the names of its files.
fn in_words(entry: &PastEntry, replied_to: &HashMap<String, String>) -> String {
    let Some(params) = &entry.params else { return entry.text.clone() };
    let mut told = message_text::before(params, replied_to);
    told.push(message_text::shown(&entry.text, params));
    told.retain(|line| !line.is_empty());
    if told.is_empty() {
        told.extend(message_text::unknown(params));
    }
    told.join("\n")
}

/// A text of at most so many bytes.
fn cut(text: String, at_most: usize) -> String {
    const SIGN: &str = "…";
    if text.len() <= at_most {
        return text;
    }
    let room = at_most.saturating_sub(SIGN.len());
    let end = (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}{SIGN}", &text[..end])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn person(text: &str) -> PastEntry {
        PastEntry { by_person: true, text: text.to_owned(), params: Some(json!({})) }
    }

    fn assistant(text: &str) -> PastEntry {
        PastEntry { by_person: false, text: text.to_owned(), params: None }
    }

    fn told(newest_first: &[PastEntry], limit_bytes: usize) -> Vec<(Role, String)> {
        let past = fitting(newest_first, &HashMap::new(), limit_bytes);
        past.into_iter().map(|said| (said.role, said.text)).collect()
    }

    #[test]
    fn the_newest_entries_go_along_in_their_order_as_long_as_there_is_room() {
        let thread = [assistant("four"), person("three"), assistant("two!"), person("one!!")];
        let all = |texts: &[&str]| -> Vec<(Role, String)> {
            let roles = [Role::Person, Role::Assistant].into_iter().cycle();
            let roles = roles.skip(4 - texts.len());
            roles.zip(texts).map(|(role, text)| (role, (*text).to_owned())).collect()
        };

        assert_eq!(told(&thread, 1000), all(&["one!!", "two!", "three", "four"]));
        assert_eq!(told(&thread, 20), all(&["one!!", "two!", "three", "four"]), "they are 18 bytes long");
        let crowd = [assistant("xx"), assistant("yy"), assistant("zz"), assistant("ww"), assistant("vv")];
        let texts: Vec<String> = told(&crowd, 9).into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["ww", "zz", "yy", "xx"]);
        assert_eq!(told(&thread, 0), []);
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_leaves_room_for_its_question() {
        let long = "ä".repeat(100);
        let past = told(&[assistant(&long), person("Why?")], 40);

        assert_eq!(past, [(Role::Person, "Why?".to_owned()), (Role::Assistant, "äää…".to_owned())]);
    }

    #[test]
    fn what_is_no_text_is_named_and_what_is_empty_is_left_out() {
        let picture =
            json!({ "NumMedia": "1", "MediaUrl0": "https://a/0", "MediaContentType0": "image/png" });
        let quote = json!({ "OriginalRepliedMessageSid": "SM1" });
        let poll = json!({ "MessageType": "poll" });
        let entry = |text: &str, params: &serde_json::Value| PastEntry {
            by_person: true,
            text: text.to_owned(),
            params: Some(params.clone()),
        };
        let replied_to = HashMap::from([("SM1".to_owned(), "Tea?".to_owned())]);
        for (entry, words) in [
            (entry("Look", &picture), vec!["Look\n[picture (image/png)]"]),
            (entry("Yes", &quote), vec!["[in reply to: \"Tea?\"]\nYes"]),
            (entry("", &poll), vec!["[a message of the kind \"poll\", which cannot be shown]"]),
            (entry("", &json!({})), vec![]),
            (assistant("**As** it is\n"), vec!["**As** it is\n"]),
            (assistant(" "), vec![]),
        ] {
            let past = fitting(std::slice::from_ref(&entry), &replied_to, 4000);
            let texts: Vec<&str> = past.iter().map(|said| said.text.as_str()).collect();
            assert_eq!(texts, words, "{entry:?}");
        }
    }
}
