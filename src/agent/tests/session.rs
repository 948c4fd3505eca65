//! A conversation as a gateway keeps it, seen of OpenClaw 2026.9.6: what the model is told of it, and what the gateway's tools tell of it.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// What the model sees in front of a message that it was told before.
pub(crate) const QUEUED: &str =
    "[Queued user message from a previous active turn; preserved as context only.]";

/// Nobody has said anything in it yet.
#[derive(Debug, Default)]
pub(crate) struct Session {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    role: &'static str,
    text: String,
    said_at_ms: u64,
}

/// How a run ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RunEnd {
    /// The model answered.
    Says(&'static str),
    /// The model answered with `NO_REPLY` alone, twice.
    Silence,
    /// The model failed.
    Failure,
    /// Whoever asked went away.
    CutOff,
}

impl Session {
    /// A run begins. What the model is told of the person's words.
    pub(crate) fn begin(&mut self, text: &str) -> Vec<String> {
        let unanswered = self.entries.pop_if(|last| last.role == "user").map(|last| last.text);
        let mut told: Vec<String> = self
            .entries
            .iter()
            .filter(|entry| entry.role == "user")
            .map(|entry| entry.text.clone())
            .collect();
        told.push(match unanswered {
            Some(unanswered) if !format!("\n{text}\n").contains(&format!("\n{unanswered}\n")) => {
                format!("{QUEUED}\n{unanswered}\n\n{text}")
            }
            _ => text.to_owned(),
        });
        self.say("user", text);
        told
    }

    /// The run ends.
    pub(crate) fn end(&mut self, end: RunEnd) {
        match end {
            RunEnd::Says(text) => self.say("assistant", text),
            RunEnd::Silence => {
                self.say("assistant", "NO_REPLY");
                self.say("assistant", "NO_REPLY");
            }
            RunEnd::Failure => {
                self.say("assistant", "⚠️ LLM request failed (provider internal error, HTTP 500).")
            }
            RunEnd::CutOff => {}
        }
    }

    fn say(&mut self, role: &'static str, text: &str) {
        self.entries.push(Entry { role, text: text.to_owned(), said_at_ms: now_ms() });
    }

    /// As if all of it had been said an hour ago.
    pub(crate) fn age(&mut self) {
        for entry in &mut self.entries {
            entry.said_at_ms -= 60 * 60 * 1000;
        }
    }

    /// The answer to `POST /tools/invoke`.
    pub(crate) fn tool(&self, body: &Value) -> Value {
        let numbered = || self.entries.iter().zip(1..);
        let details = match body["tool"].as_str() {
            Some("sessions_history") => {
                let shown = numbered().filter(|(entry, _)| entry.text != "NO_REPLY");
                let messages: Vec<Value> = shown
                    .map(|(entry, number): (&Entry, u64)| {
                        let content = match entry.role {
                            "user" => json!(entry.text),
                            _ => json!([{ "type": "text", "text": entry.text }]),
                        };
                        json!({ "role": entry.role, "content": content, "timestamp": entry.said_at_ms, "__openclaw": { "seq": number } })
                    })
                    .collect();
                json!({ "messages": messages, "totalMessages": self.entries.len() })
            }
            Some("sessions_search") => {
                let query = body["args"]["query"].as_str().unwrap_or_default();
                let found = self.entries.iter().filter(|entry| entry.text.contains(query));
                let results: Vec<Value> = found
                    .map(|entry| json!({ "role": entry.role, "snippet": entry.text, "timestamp": entry.said_at_ms }))
                    .collect();
                json!({ "results": results })
            }
            _ => return json!({ "ok": false, "error": { "type": "not_found", "message": "no such tool" } }),
        };
        json!({ "ok": true, "result": { "content": [{ "type": "text", "text": details.to_string() }], "details": details } })
    }
}

fn now_ms() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a gateway has a clock of its own")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}
