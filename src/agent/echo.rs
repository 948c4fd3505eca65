//! The built-in agent: repeats what it was told. It needs no gateway, so a newcomer's first message is answered, and tests can make it
//! misbehave by words at the start of the last message:
//!
//! | words | what it does |
//! |---|---|
//! | `/slow 2500` | answers after so many milliseconds |
//! | `/fail` | fails |
//! | `/empty` | answers with nothing |
//! | `/long 5000` | answers with about so many characters |
//! | `/silent` | answers `NO_REPLY` |

use std::time::Duration;

use crate::error::AgentError;
use crate::turn::{Part, Reply, TurnRequest};

/// The longest text it makes up, in characters.
const LONG_LIMIT: usize = 100_000;

/// Answers a turn.
pub(crate) async fn answer(turn: &TurnRequest) -> Result<Reply, AgentError> {
    let said: Vec<&str> = turn.parts.iter().map(|Part::Text(text)| text.trim()).collect();
    let last = said.last().copied().unwrap_or_default();
    let (word, rest) = last.split_once(char::is_whitespace).unwrap_or((last, ""));
    let number = rest.split_whitespace().next().and_then(|number| number.parse::<u64>().ok());
    match word {
        "/fail" => return Err(AgentError::Transient("it was told to".to_owned())),
        "/empty" => return Err(AgentError::Empty),
        "/silent" => return Ok(Reply::of("NO_REPLY".to_owned())),
        "/long" => {
            return Ok(Reply::Text(long_text(usize::try_from(number.unwrap_or(5000)).unwrap_or(LONG_LIMIT))));
        }
        "/slow" => tokio::time::sleep(Duration::from_millis(number.unwrap_or(2000))).await,
        _ => {}
    }
    let said = said.join("\n");
    Ok(Reply::Text(if said.is_empty() {
        "You sent something without words.".to_owned()
    } else {
        format!("You said: {said}")
    }))
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
    use crate::turn::Channel;

    async fn ask(parts: &[&str]) -> Result<Reply, AgentError> {
        let turn = TurnRequest {
            conversation_id: "c".into(),
            channel: Channel::Whatsapp,
            parts: parts.iter().map(|text| Part::Text((*text).to_owned())).collect(),
            timeout: Duration::from_secs(5),
        };
        Agent::Echo.send_to_openclaw(&turn).await
    }

    #[tokio::test]
    async fn it_repeats_everything_it_was_told() {
        assert_eq!(ask(&["one", " two "]).await.unwrap(), Reply::Text("You said: one\ntwo".into()));
        assert_eq!(ask(&[""]).await.unwrap(), Reply::Text("You sent something without words.".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn it_misbehaves_when_it_is_told_to() {
        assert!(matches!(ask(&["/fail now"]).await, Err(AgentError::Transient(_))));
        assert!(matches!(ask(&["/empty"]).await, Err(AgentError::Empty)));
        assert!(matches!(ask(&["/slow 6000"]).await, Err(AgentError::TimedOut(_))));
        assert_eq!(ask(&["/silent"]).await.unwrap(), Reply::Silent);
        let Reply::Text(long) = ask(&["/long 5000"]).await.unwrap() else { panic!("it is a text") };
        assert!((4900..5100).contains(&long.len()), "{}", long.len());
    }
}
