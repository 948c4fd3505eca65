//! What a gateway's session has of a turn: the tools `sessions_history` and `sessions_search` by `POST /tools/invoke`.
//!
//! Seen of OpenClaw 2026.9.6: a question that nothing follows, since its run was cut off, is not kept. The next message takes its place, and the model is
//! told the question for that run alone, unless the message has the same words. A question that anything follows is kept, and the same question sent once
//! more stands beside it. Silence that was chosen is counted and found by a search, and never shown.

use std::time::{Duration, Instant, UNIX_EPOCH};

use reqwest::Response;
use reqwest::header::{DATE, HeaderMap};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::answer_body::read_body;
use crate::chat::{self, REMINDER};
use crate::client::GatewayClient;
use crate::turn::{AgentAnswer, Reply, TurnRequest};

/// Nobody waits longer for it: a turn that is asked again does without.
const TIMEOUT: Duration = Duration::from_secs(10);

const BODY_LIMIT_BYTES: usize = 2 * 1024 * 1024;

/// The newest messages, and the best finds, that are looked at. The gateway cuts what is more than 80 KB.
const MESSAGES: u32 = 100;
const FINDS: u32 = 10;

const SILENCE: &str = "NO_REPLY";

/// What the gateway puts in the place of secrets, at the end of long texts, and between what it leaves of a secret.
const HIDDEN: [&str; 3] = ["\n…(truncated)…", "***", "…"];

/// The turn, as its session may know it.
pub(crate) struct TurnInSession<'a> {
    client: &'a GatewayClient,
    session_key: String,
    question: String,
    began: Instant,
}

/// The end of a session.
struct SessionEnd {
    messages: Vec<Message>,
    /// How many messages there are, hidden ones too; `None`: it does not say.
    total: Option<u64>,
    /// When the turn began, by the gateway's clock.
    since_ms: u64,
}

struct Message {
    is_persons: bool,
    text: String,
    /// Its number among all messages of the session.
    number: Option<u64>,
    said_at_ms: u64,
}

impl<'a> TurnInSession<'a> {
    /// `called_at` is when the present call was made.
    pub(crate) fn new(client: &'a GatewayClient, turn: &TurnRequest, called_at: Instant) -> Self {
        let began = called_at.checked_sub(turn.asked_before.unwrap_or_default()).unwrap_or(called_at);
        let session_key = chat::session_key(&turn.conversation_id, client.target());
        Self { client, session_key, question: chat::question(&turn.parts), began }
    }

    /// Whether the session has the question of this turn, and keeps it whatever is sent next.
    pub(crate) async fn keeps_question(&self) -> bool {
        let Some(end) = self.end().await else { return false };
        let at = end.messages.iter().position(|message| end.is_of_turn(message, &self.question));
        at.is_some_and(|at| at + 1 < end.messages.len() || end.is_followed_unseen(&end.messages[at]))
    }

    /// Whether the model has answered this turn with silence, and with nothing else.
    pub(crate) async fn has_chosen_silence(&self) -> bool {
        let Some(end) = self.end().await else { return false };
        let is_unanswered = end.messages.last().is_some_and(|last| {
            let is_of_turn = end.is_of_turn(last, &self.question) || end.is_of_turn(last, REMINDER);
            is_of_turn && end.is_followed_unseen(last)
        });
        is_unanswered && self.finds_silence().await
    }

    async fn end(&self) -> Option<SessionEnd> {
        let arguments =
            json!({ "sessionKey": self.session_key, "limit": MESSAGES, "offset": 0, "includeTools": true });
        let (details, since_ms) = self.invoke("sessions_history", arguments).await?;
        let messages = details["messages"].as_array()?.iter().map(Message::of).collect();
        Some(SessionEnd { messages, total: details["totalMessages"].as_u64(), since_ms })
    }

    async fn finds_silence(&self) -> bool {
        let arguments = json!({ "sessionKey": self.session_key, "query": SILENCE, "limit": FINDS });
        let Some((details, since_ms)) = self.invoke("sessions_search", arguments).await else { return false };
        let finds = details["results"].as_array().map(Vec::as_slice).unwrap_or_default();
        finds.iter().any(|found| {
            let is_silence = AgentAnswer::of(found["snippet"].as_str().unwrap_or_default())
                .is_ok_and(|answer| answer.reply == Reply::Silent);
            is_silence && found["role"] == "assistant" && milliseconds(&found["timestamp"]) >= since_ms
        })
    }

    /// What a tool tells, and when the turn began by the gateway's clock. `None`: it does not tell, since it is not allowed, or no gateway is there.
    async fn invoke(&self, tool: &str, arguments: Value) -> Option<(Value, u64)> {
        let body = json!({ "tool": tool, "args": arguments, "sessionKey": self.session_key });
        let tools = self.client.endpoint().tools()?;
        let told = timeout(TIMEOUT, async {
            let response = self.client.post(tools, HeaderMap::new(), &body).await.ok()?;
            let since_ms = self.began_by(&response)?;
            let body = read_body(response, self.client.endpoint(), BODY_LIMIT_BYTES).await.ok()?;
            Some((serde_json::from_slice::<Value>(&body).ok()?, since_ms))
        });
        let (mut told, since_ms) = told.await.ok().flatten()?;
        let details = told.pointer_mut("/result/details").map(Value::take);
        if details.is_none() {
            tracing::debug!(gateway = %self.client.endpoint(), "The gateway does not answer {tool}");
        }
        Some((details?, since_ms))
    }

    /// The gateway's clock may be another than ours, and tells whole seconds: the moment that comes of it is not too late.
    fn began_by(&self, response: &Response) -> Option<u64> {
        let now = httpdate::parse_http_date(response.headers().get(DATE)?.to_str().ok()?.trim()).ok()?;
        let began = now.checked_sub(self.began.elapsed())?;
        u64::try_from(began.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
    }
}

impl SessionEnd {
    /// Whether a person has said this in the turn. The same was perhaps said in an earlier one.
    fn is_of_turn(&self, message: &Message, text: &str) -> bool {
        message.is_persons && message.said_at_ms >= self.since_ms && is_shown_as(text, &message.text)
    }

    /// Whether there are messages behind this one that are not shown.
    fn is_followed_unseen(&self, last: &Message) -> bool {
        self.total.zip(last.number).is_some_and(|(total, number)| total > number)
    }
}

impl Message {
    fn of(message: &Value) -> Self {
        let content = &message["content"];
        let texts = content.as_array().into_iter().flatten().filter_map(|part| part["text"].as_str());
        let text = content.as_str().map_or_else(|| texts.collect::<Vec<_>>().join("\n"), str::to_owned);
        Self {
            // What the gateway says in a person's name has a provenance.
            is_persons: message["role"] == "user" && message["provenance"].is_null(),
            text,
            number: message["__openclaw"]["seq"].as_u64(),
            said_at_ms: milliseconds(&message["timestamp"]),
        }
    }
}

fn milliseconds(moment: &Value) -> u64 {
    moment.as_u64().unwrap_or_default()
}

/// Whether a gateway shows a text like this: it hides what looks like a secret, and the end of a long text.
fn is_shown_as(text: &str, shown: &str) -> bool {
    let (text, shown) = (text.trim(), shown.trim());
    let mut pieces = vec![shown];
    for mark in HIDDEN {
        pieces = pieces.into_iter().flat_map(|piece| piece.split(mark)).collect();
    }
    let [whole] = pieces[..] else {
        let (first, others) = pieces.split_first().unwrap_or((&"", &[]));
        let has_words = pieces.iter().any(|piece| !piece.trim().is_empty());
        let rest = text.strip_prefix(first).filter(|_| has_words);
        return rest
            .and_then(|rest| others.iter().try_fold(rest, |rest, piece| Some(rest.split_once(piece)?.1)))
            .is_some();
    };
    whole == text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_known_though_the_gateway_hides_some_of_it() {
        let long = "word ".repeat(1000);
        for (text, shown, expected) in [
            ("Tea?", "Tea?", true),
            (" Tea?\n", "Tea?", true),
            ("Tea?", "Coffee?", false),
            ("Tea? And milk.", "Tea?", false),
            (
                "key sk-proj-abcdef123456 and password=hunter2, call",
                "key sk-pro…3456 and password=*** call",
                true,
            ),
            ("key sk-proj-abcdef123456", "password sk-pro…3456", false),
            (long.as_str(), format!("{}\n…(truncated)…", &long[..4000].trim_end()).as_str(), true),
            (long.as_str(), format!("{}\n…(truncated)…", "other ".repeat(600)).as_str(), false),
            ("Wait … and *** see", "Wait … and *** see", true),
            ("Tea?", "***", false),
        ] {
            assert_eq!(is_shown_as(text, shown), expected, "{shown}");
        }
    }
}
