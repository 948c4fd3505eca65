//! The built-in agent: repeats what it was told. It needs no gateway, so a newcomer's first message is answered, and tests can make it
//! misbehave by words at the start of the last message:
//!
//! | words | what it does |
//! |---|---|
//! | `/slow 2s`, `/slow 2500` | takes that long (`ms`, `s` or `m`; milliseconds without a unit; 2 s without a number), then goes on with what follows |
//! | `/fail` | fails |
//! | `/empty` | answers with nothing |
//! | `/long 5000` | answers with about so many characters |
//! | `/silent` | answers `NO_REPLY` |

use std::time::Duration;

use crate::error::AgentError;
use crate::turn::{AgentAnswer, TurnRequest};
use crate::withheld::Withheld;

/// The longest text it makes up, in characters.
const LONG_LIMIT: usize = 100_000;

/// Answers a turn.
pub(crate) async fn answer(turn: &TurnRequest) -> Result<AgentAnswer, AgentError> {
    let said: Vec<String> = turn.parts.iter().map(|part| part.in_words().trim().to_owned()).collect();
    let mut words = said.last().map(String::as_str).unwrap_or_default().split_whitespace().peekable();
    while words.next_if_eq(&"/slow").is_some() {
        let pause = words.peek().and_then(|word| duration(word));
        if pause.is_some() {
            words.next();
        }
        tokio::time::sleep(pause.unwrap_or(Duration::from_secs(2))).await;
    }
    match words.next() {
        Some("/fail") => return Err(AgentError::Transient("it was told to".to_owned())),
        Some("/empty") => return Err(AgentError::Empty(Withheld::default())),
        Some("/silent") => return AgentAnswer::of("NO_REPLY"),
        Some("/long") => {
            let characters = words.next().and_then(|number| number.parse().ok()).unwrap_or(5000);
            return AgentAnswer::of(&long_text(characters));
        }
        _ => {}
    }
    let said = said.join("\n");
    if said.is_empty() {
        return AgentAnswer::of("You sent something without words.");
    }
    AgentAnswer::of(&format!("You said: {said}"))
}

/// `1500`, `1500ms`, `2s` or `1m`.
fn duration(word: &str) -> Option<Duration> {
    let unit = word.trim_start_matches(|char: char| char.is_ascii_digit());
    let number: u64 = word[..word.len() - unit.len()].parse().ok()?;
    let millis = match unit {
        "" | "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.saturating_mul(millis)))
}

/// Readable paragraphs, numbered so that a reader sees what is missing or out of order.
fn long_text(characters: usize) -> String {
    let mut text = String::new();
    let mut number = 0;
    while text.len() < characters.min(LONG_LIMIT) {
        number += 1;
        text.push_str(&format!("This is sentence {number} of a long answer. "));
        if number % 6 == 0 {
            text.push_str("\n\n");
        }
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Agent;
    use crate::memory::Memory;
    use crate::turn::{Channel, Reply, TurnPart};

    async fn ask(parts: &[&str]) -> Result<Reply, AgentError> {
        let turn = TurnRequest {
            conversation_id: "c".into(),
            memory: Memory::Gateway,
            channel: Channel::Whatsapp,
            parts: parts.iter().map(|text| TurnPart::Text((*text).to_owned())).collect(),
            asked_before: None,
            timeout: Duration::from_secs(5),
        };
        Ok(Agent::Echo.send_to_openclaw(&turn).await?.reply)
    }

    #[tokio::test]
    async fn it_repeats_everything_it_was_told() {
        assert_eq!(ask(&["one", " two "]).await.unwrap(), Reply::Text("You said: one\ntwo".into()));
        assert_eq!(ask(&[""]).await.unwrap(), Reply::Text("You sent something without words.".into()));
    }

    #[tokio::test]
    async fn it_names_a_picture() {
        let mime = "image/png".to_owned();
        let parts = vec![TurnPart::Image { mime, bytes: vec![0; 3000] }];
        let turn = TurnRequest {
            conversation_id: "c".into(),
            memory: Memory::Gateway,
            channel: Channel::Dashboard,
            parts,
            asked_before: None,
            timeout: Duration::from_secs(5),
        };

        let reply = Agent::Echo.send_to_openclaw(&turn).await.unwrap().reply;

        assert_eq!(reply, Reply::Text("You said: picture (image/png, 3 KB)".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn it_misbehaves_when_it_is_told_to() {
        assert!(matches!(ask(&["/fail now"]).await, Err(AgentError::Transient(_))));
        assert!(matches!(ask(&["hi", "/empty"]).await, Err(AgentError::Empty(_))));
        assert_eq!(ask(&["/silent"]).await.unwrap(), Reply::Silent);
        let Reply::Text(long) = ask(&["/long 5000"]).await.unwrap() else { panic!("it is a text") };
        assert!((4900..5100).contains(&long.len()), "{}", long.len());
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_as_slow_as_it_is_told_and_then_goes_on() {
        for slow in ["/slow 6000", "/slow 6s", "/slow 1m hello", "/slow 4s /slow 4s"] {
            assert!(matches!(ask(&[slow]).await, Err(AgentError::TimedOut(_))), "{slow}");
        }
        let begun = tokio::time::Instant::now();

        assert!(matches!(ask(&["/slow 3s /fail"]).await, Err(AgentError::Transient(_))));
        assert_eq!(begun.elapsed().as_secs(), 3);
        assert!(matches!(ask(&["/slow soon"]).await, Ok(Reply::Text(_))));
        assert_eq!(begun.elapsed().as_secs(), 5);
    }
}
