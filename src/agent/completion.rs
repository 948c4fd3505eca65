//! The answer to a turn: a whole `chat.completion`, or a stream of `chat.completion.chunk`, from whatever server.

use std::time::Duration;

use futures::StreamExt;
use reqwest::header::TRANSFER_ENCODING;
use reqwest::{Response, Version};
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout};

use crate::answer_body::{AnswerReader, BodyEnd, BodyPiece, too_long};
use crate::client::describe;
use crate::error::{AgentError, Trouble};
use crate::said_so_far::{SaidSoFar, no_completion};
use crate::target::Endpoint;
use crate::turn::AgentAnswer;

/// The most that is read for a text: in a stream every few letters come with a couple of hundred bytes around them.
const BODY_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// After the last word a stream is given this long for its end mark: to go away sooner might stop the run before it is put on record.
const END_MARK_GRACE: Duration = Duration::from_secs(2);

/// Reads an answer. Every packet is a sign of life, even one without words.
pub(crate) async fn read(
    response: Response,
    endpoint: &Endpoint,
    idle_timeout: Duration,
) -> Result<AgentAnswer, AgentError> {
    let has_own_end = has_own_end(&response);
    let mut packets = response.bytes_stream();
    let mut reader = AnswerReader::default();
    let mut said = SaidSoFar::default();
    let mut read_bytes = 0;
    // When the last words came, if they are the end of the answer.
    let mut finished_at: Option<Instant> = None;
    loop {
        let patience = match finished_at {
            Some(finished_at) => END_MARK_GRACE.saturating_sub(finished_at.elapsed()),
            None => idle_timeout,
        };
        let packet = match timeout(patience, packets.next()).await {
            Ok(Some(Ok(packet))) => packet,
            // What is complete stays complete however the connection ends.
            _ if finished_at.is_some() => return said.end(),
            Ok(Some(Err(error))) => {
                let problem = describe(error);
                return Err(AgentError::Broken(format!("the answer of {endpoint} broke off: {problem}")));
            }
            Ok(None) => break,
            Err(_) => {
                let problem =
                    format!("{endpoint} fell silent for {idle_timeout:?} in the middle of its answer");
                return Err(AgentError::Broken(problem));
            }
        };
        read_bytes += packet.len();
        let before = said.text.len();
        for piece in reader.push(&packet).map_err(|_| too_long(endpoint))? {
            match piece {
                BodyPiece::End => return said.end(),
                BodyPiece::Json(json) => said.hear(&json, endpoint)?,
                BodyPiece::Page => return Err(page(endpoint)),
            }
        }
        if read_bytes > BODY_LIMIT_BYTES {
            return Err(too_long(endpoint));
        }
        // A stop among thoughts, before anything was said, ends nothing.
        if !said.ended || !said.has_words() {
            finished_at = None;
        } else if said.text.len() > before || finished_at.is_none() {
            finished_at = Some(Instant::now());
        }
    }
    match reader.finish() {
        BodyEnd::Whole(Some(BodyPiece::Json(json))) if is_half(&json) => return Err(unfinished(endpoint)),
        BodyEnd::Whole(Some(BodyPiece::Json(json))) => said.hear(&json, endpoint)?,
        BodyEnd::Whole(Some(BodyPiece::End)) => said.ended = true,
        BodyEnd::Whole(_) if read_bytes > 0 && !said.is_completion => {
            return Err(no_completion(endpoint, ""));
        }
        BodyEnd::Whole(_) => {}
        BodyEnd::InTheMiddle => return Err(unfinished(endpoint)),
    }
    if !has_own_end && !said.ended && said.has_words() {
        return Err(unfinished(endpoint));
    }
    said.end()
}

/// Whether a document ends in the middle.
fn is_half(json: &str) -> bool {
    serde_json::from_str::<&RawValue>(json).is_err_and(|error| error.is_eof())
}

/// Whether HTTP itself marks the end of a body. Where nothing but the end of the connection does, the rest may have been lost. That is known of the last
/// hop alone: a proxy before it that loses the rest and ends the body properly cannot be told from a server that marks no ends.
fn has_own_end(response: &Response) -> bool {
    response.version() > Version::HTTP_11
        || response.headers().contains_key(TRANSFER_ENCODING)
        || response.content_length().is_some()
}

fn unfinished(endpoint: &Endpoint) -> AgentError {
    AgentError::Unfinished(format!("{endpoint} ended its answer in the middle"))
}

fn page(endpoint: &Endpoint) -> AgentError {
    let problem = "answered with a web page, not a completion: check the agent's base URL";
    AgentError::Refused { trouble: Trouble::Endpoint, reason: format!("{endpoint} {problem}") }
}
