//! What this process has sent, held back and asked since its start, for whoever watches it. A transaction that is rolled back afterwards is counted, too.

use std::time::Duration;

use agent::error::{AgentError, AgentErrorClass};
use queue::counts::{Count, Durations};
use store::deliveries::Obstacle;
use store::text_enum::TextEnum as _;
use twilio::sending::SendError;

/// Of this process.
pub static COUNTERS: Counters = Counters::new();

/// All of them.
#[derive(Debug)]
pub struct Counters {
    sends: [[Count; SendResult::ALL.len()]; SendClass::ALL.len()],
    /// How long Twilio took to answer.
    pub send_took: Durations,
    blocks: [Count; Obstacle::VARIANTS.len()],
    asked: [Count; AskResult::ALL.len()],
    /// How long the agent took, whatever came of it.
    pub ask_took: Durations,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendClass {
    /// The agent's answers.
    Reply,
    /// The channel's own words.
    Notice,
    /// Notifications and schedules.
    Proactive,
}

/// What became of a request to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendResult {
    /// Twilio has it.
    Accepted,
    /// Twilio refused it.
    Refused,
    /// Twilio has nothing of it, and it is tried again.
    NotSent,
    /// Nobody knows.
    InDoubt,
}

/// What came of a question to the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskResult {
    /// An answer.
    Answered,
    /// It may be asked again.
    Transient,
    /// It wants us to wait.
    RateLimited,
    /// No run began.
    Unavailable,
    /// It had tried for long by itself.
    GaveUp,
    /// The operator must change something.
    Configuration,
    /// It takes this turn never.
    Permanent,
}

impl SendClass {
    /// All of them, in this order.
    pub const ALL: [Self; 3] = [Self::Reply, Self::Notice, Self::Proactive];

    /// Its word in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reply => "reply",
            Self::Notice => "notice",
            Self::Proactive => "proactive",
        }
    }
}

impl SendResult {
    /// All of them, in this order.
    pub const ALL: [Self; 4] = [Self::Accepted, Self::Refused, Self::NotSent, Self::InDoubt];

    /// Its word in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::NotSent => "not_sent",
            Self::InDoubt => "in_doubt",
        }
    }

    /// What an answer of Twilio's means.
    #[must_use]
    pub const fn of<T>(sent: &Result<T, SendError>) -> Self {
        match sent {
            Ok(_) => Self::Accepted,
            Err(SendError::NotSent { .. }) => Self::NotSent,
            Err(SendError::InDoubt { .. }) => Self::InDoubt,
            Err(SendError::Refused { .. }) => Self::Refused,
        }
    }
}

impl AskResult {
    /// All of them, in this order.
    pub const ALL: [Self; 7] = [
        Self::Answered,
        Self::Transient,
        Self::RateLimited,
        Self::Unavailable,
        Self::GaveUp,
        Self::Configuration,
        Self::Permanent,
    ];

    /// Its word in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Transient => "transient",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::GaveUp => "gave_up",
            Self::Configuration => "configuration",
            Self::Permanent => "permanent",
        }
    }

    fn of<T>(asked: &Result<T, AgentError>) -> Self {
        match asked.as_ref().map_err(AgentError::class) {
            Ok(_) => Self::Answered,
            Err(AgentErrorClass::Transient) => Self::Transient,
            Err(AgentErrorClass::RateLimited) => Self::RateLimited,
            Err(AgentErrorClass::Unavailable) => Self::Unavailable,
            Err(AgentErrorClass::GaveUp) => Self::GaveUp,
            Err(AgentErrorClass::Configuration) => Self::Configuration,
            Err(AgentErrorClass::Permanent) => Self::Permanent,
        }
    }
}

impl Counters {
    const fn new() -> Self {
        Self {
            sends: [const { [const { Count::new() }; SendResult::ALL.len()] }; SendClass::ALL.len()],
            send_took: Durations::new(),
            blocks: [const { Count::new() }; Obstacle::VARIANTS.len()],
            asked: [const { Count::new() }; AskResult::ALL.len()],
            ask_took: Durations::new(),
        }
    }

    /// A request to send has ended.
    pub fn note_send(&self, class: SendClass, result: SendResult, took: Duration) {
        self.sends[class as usize][result as usize].add();
        self.send_took.add(took);
    }

    /// Something stands in the way of words to a person.
    pub fn note_block(&self, obstacle: Obstacle) {
        self.blocks[obstacle as usize].add();
    }

    /// The agent was asked.
    pub fn note_ask<T>(&self, asked: &Result<T, AgentError>, took: Duration) {
        self.asked[AskResult::of(asked) as usize].add();
        self.ask_took.add(took);
    }

    /// Requests to send, by class and result.
    pub fn sends(&self) -> impl Iterator<Item = (SendClass, SendResult, u64)> {
        SendClass::ALL.into_iter().zip(&self.sends).flat_map(|(class, results)| {
            SendResult::ALL.into_iter().zip(results).map(move |(result, count)| (class, result, count.read()))
        })
    }

    /// What stood in the way, by reason.
    pub fn blocks(&self) -> impl Iterator<Item = (Obstacle, u64)> {
        Obstacle::VARIANTS.iter().copied().zip(self.blocks.iter().map(Count::read))
    }

    /// Questions to the agent, by what came of them.
    pub fn asked(&self) -> impl Iterator<Item = (AskResult, u64)> {
        AskResult::ALL.into_iter().zip(self.asked.iter().map(Count::read))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_is_counted_under_its_own_name() {
        let counters = Counters::new();

        for (times, obstacle) in Obstacle::VARIANTS.iter().copied().enumerate() {
            (0..times).for_each(|_| counters.note_block(obstacle));
        }
        counters.note_send(SendClass::Notice, SendResult::InDoubt, Duration::from_secs(1));
        counters.note_ask::<()>(&Err(AgentError::Empty(Default::default())), Duration::from_secs(2));
        counters.note_ask(&Ok(()), Duration::from_secs(3));

        assert!(counters.blocks().enumerate().all(|(times, (_, number))| number == times as u64));
        let sends: Vec<_> = counters.sends().filter(|(_, _, number)| *number > 0).collect();
        assert_eq!(sends, [(SendClass::Notice, SendResult::InDoubt, 1)]);
        let asked: Vec<_> = counters.asked().filter(|(_, number)| *number > 0).collect();
        assert_eq!(asked, [(AskResult::Answered, 1), (AskResult::Transient, 1)]);
        assert!((counters.ask_took.read().sum_secs - 5.0).abs() < 1e-6);
    }
}
