//! A request between Twilio and the service, as the page lists it.

use std::time::Duration;

use crate::exchanges::{Exchange, ExchangeKind, Outcome, Try};

/// A row, which opens.
pub(super) struct RequestRow {
    pub(super) id: u64,
    /// `in` at the service's webhooks, `out` from it to Twilio's API.
    pub(super) direction: &'static str,
    pub(super) title: String,
    pub(super) time: String,
    pub(super) clock: String,
    pub(super) method: String,
    pub(super) address: String,
    pub(super) fields: Vec<(String, String)>,
    pub(super) tries: Vec<TryRow>,
    pub(super) answer: TryRow,
}

#[derive(Clone)]
pub(super) struct TryRow {
    /// `good`, `warn` or `bad`.
    pub(super) mood: &'static str,
    pub(super) words: String,
    pub(super) took: String,
    pub(super) body: String,
}

impl RequestRow {
    pub(super) fn of(exchange: &Exchange) -> Self {
        let tries: Vec<TryRow> = exchange.tries.iter().map(TryRow::of).collect();
        let under_way =
            TryRow { mood: "warn", words: "under way".to_owned(), took: String::new(), body: String::new() };
        Self {
            id: exchange.id,
            direction: if exchange.kind == ExchangeKind::Call { "out" } else { "in" },
            title: title(exchange),
            time: exchange.begun_at.to_rfc3339(),
            clock: exchange.begun_at.format("%H:%M:%S").to_string(),
            method: exchange.method.clone(),
            address: exchange.address.clone(),
            fields: exchange.fields.clone(),
            answer: tries.last().filter(|_| exchange.is_over).cloned().unwrap_or(under_way),
            tries,
        }
    }
}

impl TryRow {
    fn of(tried: &Try) -> Self {
        let (mood, words, body) = match &tried.outcome {
            Outcome::Answered { status, body } => {
                let mood = if *status < 400 { "good" } else { "bad" };
                (mood, status.to_string(), body.clone())
            }
            Outcome::Unanswered(why) => ("bad", "no answer".to_owned(), why.clone()),
        };
        Self { mood, words, took: duration(tried.took), body }
    }
}

fn duration(took: Duration) -> String {
    match took.as_millis() {
        millis @ ..1000 => format!("{millis} ms"),
        _ => format!("{:.1} s", took.as_secs_f64()),
    }
}

/// What it is, in words.
fn title(exchange: &Exchange) -> String {
    let field = |name: &str| {
        let found = exchange.fields.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    };
    match exchange.kind {
        ExchangeKind::InboundMessage => match field("Body").or(field("MessageType")) {
            Some(body) => format!("A person wrote: {}", first_words(body)),
            None => "A person wrote".to_owned(),
        },
        ExchangeKind::StatusCallback => {
            format!("Status: {}", field("MessageStatus").unwrap_or("unknown"))
        }
        ExchangeKind::Call => call(exchange, field("Body").or(field("ContentSid"))),
    }
}

fn call(exchange: &Exchange, content: Option<&str>) -> String {
    let path = exchange.address.as_str();
    let is = |method: &str| exchange.method == method;
    match () {
        () if path.ends_with("/Messages.json") && is("POST") => {
            format!("Send: {}", first_words(content.unwrap_or("a file")))
        }
        () if path.ends_with("/Messages.json") => "List messages".to_owned(),
        () if path.ends_with("/Typing.json") => "Show that somebody types".to_owned(),
        () if path.contains("/Media") => "Ask for a person's file".to_owned(),
        () if path.contains("/Messages/") && is("GET") => "Look at a message".to_owned(),
        () if path.contains("/Messages/") && is("DELETE") => "Delete a message".to_owned(),
        () if path.contains("/Messages/") => "Change a message".to_owned(),
        () if path.contains("/Content/") => "Ask whether a template is approved".to_owned(),
        () if path.contains("/Webhooks/") => "Ask for webhook settings".to_owned(),
        () => format!("{} {path}", exchange.method),
    }
}

fn first_words(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}
