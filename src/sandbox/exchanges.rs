//! The requests between Twilio and the service, in both directions, for whoever looks at them: the newest ones, in memory.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::{DateTime, Utc};

/// More requests push out the oldest.
pub(crate) const LIMIT: usize = 200;

/// Of each text that is kept.
const TEXT_LIMIT_CHARS: usize = 4000;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExchangeKind {
    /// Twilio tells the service that a person wrote.
    InboundMessage,
    /// Twilio tells the service what became of a message.
    StatusCallback,
    /// The service asks Twilio for something.
    Call,
}

/// A request and what became of it.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    /// Numbers grow in the order in which requests began.
    pub(crate) id: u64,
    pub(crate) kind: ExchangeKind,
    pub(crate) begun_at: DateTime<Utc>,
    pub(crate) method: String,
    /// The URL of a webhook, the path of a call.
    pub(crate) address: String,
    pub(crate) fields: Vec<(String, String)>,
    /// The first try and the retries, as far as they have ended.
    pub(crate) tries: Vec<Try>,
    pub(crate) is_over: bool,
    /// When it last changed; see `SandboxState::changes_since`.
    pub(crate) version: u64,
}

/// One try of a request.
#[derive(Clone, Debug)]
pub(crate) struct Try {
    pub(crate) took: Duration,
    pub(crate) outcome: Outcome,
}

/// How a try ended.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Answered {
        status: u16,
        body: String,
    },
    /// No answer; why, in words.
    Unanswered(String),
}

impl Exchange {
    /// A request that begins.
    pub(crate) fn new(
        kind: ExchangeKind,
        begun_at: DateTime<Utc>,
        method: &str,
        address: &str,
        fields: &[(String, String)],
    ) -> Self {
        let fields = fields.iter().map(|(name, value)| (shortened(name), shortened(value))).collect();
        Self {
            id: 0,
            kind,
            begun_at,
            method: method.to_owned(),
            address: shortened(address),
            fields,
            tries: Vec::new(),
            is_over: false,
            version: 0,
        }
    }
}

impl Outcome {
    pub(crate) fn answered(status: u16, body: &str) -> Self {
        Self::Answered { status, body: shortened(body) }
    }
}

/// The newest requests.
#[derive(Default)]
pub(crate) struct Exchanges {
    kept: VecDeque<Exchange>,
    last_id: u64,
}

impl Exchanges {
    /// Takes a request in; returns its id.
    pub(crate) fn begin(&mut self, exchange: Exchange, version: u64) -> u64 {
        self.last_id += 1;
        self.kept.push_back(Exchange { id: self.last_id, version, ..exchange });
        while self.kept.len() > LIMIT {
            self.kept.pop_front();
        }
        self.last_id
    }

    /// A try has ended. A request that was pushed out is gone.
    pub(crate) fn tried(&mut self, id: u64, tried: Try, is_over: bool, version: u64) {
        if let Some(exchange) = self.kept.iter_mut().find(|exchange| exchange.id == id) {
            exchange.tries.push(tried);
            exchange.is_over = is_over;
            exchange.version = version;
        }
    }

    /// Those that changed after this version, the oldest first.
    pub(crate) fn since(&self, version: u64) -> Vec<Exchange> {
        self.kept.iter().filter(|exchange| exchange.version > version).cloned().collect()
    }

    pub(crate) fn clear(&mut self) {
        self.kept.clear();
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(TEXT_LIMIT_CHARS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}… ({} bytes in all)", &text[..end], text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn the_oldest_requests_make_room_and_long_texts_are_cut() {
        let mut exchanges = Exchanges::default();
        let long = "ü".repeat(TEXT_LIMIT_CHARS + 1);
        for number in 0..=LIMIT {
            let fields = [("Body".to_owned(), format!("{number}")), ("Long".to_owned(), long.clone())];
            exchanges.begin(Exchange::new(ExchangeKind::Call, clock::now(), "POST", "/", &fields), 1);
        }
        let tried = || Try { took: Duration::ZERO, outcome: Outcome::answered(200, &long) };
        exchanges.tried(1, tried(), true, 2);
        exchanges.tried(2, tried(), true, 3);

        let kept = exchanges.since(0);

        assert_eq!((kept.len(), kept[0].id, kept[0].fields[0].1.as_str()), (LIMIT, 2, "1"));
        assert!(kept[0].fields[1].1.ends_with("ü… (8002 bytes in all)"));
        assert!(kept[0].is_over && !kept[1].is_over);
        assert_eq!(exchanges.since(2).len(), 1);
    }
}
