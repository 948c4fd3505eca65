//! What became of webhooks, and how long they took.

use std::time::Duration;

use queue::counts::{Count, Durations};

use super::page::Page;
use crate::public_url::Hook;

/// Of this process.
pub(crate) static WEBHOOKS: Webhooks = Webhooks::new();

/// How a webhook was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WebhookOutcome {
    /// It is stored.
    Stored,
    /// Its signature, account or number is not ours.
    Forbidden,
    /// It is no webhook of the kind.
    Invalid,
    /// It could not be stored, or not in time.
    Unavailable,
}

impl WebhookOutcome {
    const ALL: [Self; 4] = [Self::Stored, Self::Forbidden, Self::Invalid, Self::Unavailable];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Forbidden => "forbidden",
            Self::Invalid => "invalid",
            Self::Unavailable => "unavailable",
        }
    }

    /// What an answer's status stands for.
    fn of(status: u16) -> Self {
        match status {
            ..300 => Self::Stored,
            403 => Self::Forbidden,
            500.. => Self::Unavailable,
            _ => Self::Invalid,
        }
    }
}

/// The webhooks of both kinds.
pub(crate) struct Webhooks {
    messages: OfHook,
    statuses: OfHook,
}

struct OfHook {
    outcomes: [Count; WebhookOutcome::ALL.len()],
    took: Durations,
}

impl OfHook {
    const fn new() -> Self {
        Self { outcomes: [const { Count::new() }; WebhookOutcome::ALL.len()], took: Durations::new() }
    }
}

impl Webhooks {
    const fn new() -> Self {
        Self { messages: OfHook::new(), statuses: OfHook::new() }
    }

    /// A webhook was answered with this status.
    pub(crate) fn note(&self, hook: Hook, status: u16, took: Duration) {
        let of_hook = match hook {
            Hook::Message => &self.messages,
            Hook::Status => &self.statuses,
        };
        of_hook.outcomes[WebhookOutcome::of(status) as usize].add();
        of_hook.took.add(took);
    }

    pub(super) fn write(&self, page: &mut Page<'_>) -> std::fmt::Result {
        let hooks = [("message", &self.messages), ("status", &self.statuses)];
        let outcomes = hooks.into_iter().flat_map(|(hook, of_hook)| {
            WebhookOutcome::ALL.into_iter().zip(&of_hook.outcomes).map(move |(outcome, count)| {
                (vec![("hook", hook), ("outcome", outcome.as_str())], count.read())
            })
        });
        page.counters(("webhooks", "Webhooks of Twilio's by how they were answered"), outcomes)?;
        page.durations(
            ("webhook_seconds", "How long Twilio waited for the answer to a webhook"),
            hooks.into_iter().map(|(hook, of_hook)| (vec![("hook", hook)], of_hook.took.read())),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_stands_for_an_outcome() {
        for (status, outcome) in [
            (200, WebhookOutcome::Stored),
            (204, WebhookOutcome::Stored),
            (403, WebhookOutcome::Forbidden),
            (400, WebhookOutcome::Invalid),
            (413, WebhookOutcome::Invalid),
            (503, WebhookOutcome::Unavailable),
        ] {
            assert_eq!(WebhookOutcome::of(status), outcome, "{status}");
        }
    }
}
