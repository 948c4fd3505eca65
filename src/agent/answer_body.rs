//! The body of an answer, judged by its first character: events, JSON documents or a web page. What its content type says is wrong too often.

use futures::StreamExt;
use reqwest::Response;

use crate::client::describe;
use crate::error::AgentError;
use crate::event_stream::{EventReader, TooLong};
use crate::json_documents::DocumentReader;
use crate::target::Endpoint;

/// Takes bytes in and gives completions out, or parts of them.
#[derive(Default)]
pub(crate) struct AnswerReader {
    form: BodyForm,
}

#[derive(Default)]
enum BodyForm {
    /// Nothing has come but space.
    #[default]
    Unknown,
    Events(EventReader),
    Documents(DocumentReader),
    Page,
}

/// What an answer is made of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BodyPiece {
    /// A JSON text.
    Json(String),
    /// The mark of its end.
    End,
    /// The beginning of a web page, of which there is no more to read.
    Page,
}

/// How a body ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BodyEnd {
    /// With this last piece, if it had no end of its own.
    Whole(Option<BodyPiece>),
    /// In the middle of a document.
    InTheMiddle,
}

impl AnswerReader {
    /// The pieces that these bytes complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<BodyPiece>, TooLong> {
        if let BodyForm::Unknown = self.form {
            let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
            self.form = match bytes.trim_ascii_start().first() {
                None => BodyForm::Unknown,
                Some(b'{' | b'[') => BodyForm::Documents(DocumentReader::default()),
                Some(b'<') => BodyForm::Page,
                Some(_) => BodyForm::Events(EventReader::default()),
            };
        }
        match &mut self.form {
            BodyForm::Unknown => Ok(Vec::new()),
            BodyForm::Events(reader) => {
                Ok(reader.push(bytes)?.into_iter().filter_map(BodyPiece::of_event).collect())
            }
            BodyForm::Documents(reader) => Ok(reader.push(bytes)?.into_iter().map(BodyPiece::Json).collect()),
            BodyForm::Page => Ok(vec![BodyPiece::Page]),
        }
    }

    /// What the end of the body completes.
    pub(crate) fn finish(self) -> BodyEnd {
        match self.form {
            BodyForm::Unknown | BodyForm::Page => BodyEnd::Whole(None),
            BodyForm::Events(reader) => BodyEnd::Whole(reader.finish().and_then(BodyPiece::of_event)),
            BodyForm::Documents(reader) if reader.is_in_the_middle() => BodyEnd::InTheMiddle,
            BodyForm::Documents(_) => BodyEnd::Whole(None),
        }
    }
}

impl BodyPiece {
    /// The data of an event. Some servers put signs of life there (`: keepalive`), which say nothing.
    fn of_event(data: String) -> Option<Self> {
        let text = data.trim();
        if text.trim_matches('"').eq_ignore_ascii_case("[DONE]") {
            return Some(Self::End);
        }
        text.starts_with(['{', '[']).then_some(Self::Json(data))
    }
}

/// Reads a body of limited size as a whole.
pub(crate) async fn read_body(
    response: Response,
    endpoint: &Endpoint,
    limit_bytes: usize,
) -> Result<Vec<u8>, AgentError> {
    let mut packets = response.bytes_stream();
    let mut body = Vec::new();
    while let Some(packet) = packets.next().await {
        let packet = packet.map_err(|error| {
            let problem = describe(error);
            AgentError::Broken(format!("the answer of {endpoint} broke off: {problem}"))
        })?;
        if body.len() + packet.len() > limit_bytes {
            return Err(too_long(endpoint));
        }
        body.extend_from_slice(&packet);
    }
    Ok(body)
}

pub(crate) fn too_long(endpoint: &Endpoint) -> AgentError {
    AgentError::Permanent(format!("the answer of {endpoint} is too long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> BodyPiece {
        BodyPiece::Json(text.to_owned())
    }

    #[test]
    fn a_body_is_what_it_begins_with() {
        let cases = [
            ("data: {\"a\":1}\n\ndata: [DONE]\n\n", vec![json("{\"a\":1}"), BodyPiece::End]),
            (
                ": hello\n\ndata: : keepalive\n\ndata: {}\n\ndata: \"[done]\"\n\n",
                vec![json("{}"), BodyPiece::End],
            ),
            (
                "event: error\ndata: {\"a\":1}\n\n{\"error\":\"boom\"}\n\n",
                vec![json("{\"a\":1}"), json("{\"error\":\"boom\"}")],
            ),
            ("{\"a\":1}\n{\"b\":2}\n", vec![json("{\"a\":1}"), json("{\"b\":2}")]),
            ("\u{feff} [{\"a\":1}]", vec![json("{\"a\":1}")]),
            ("<!doctype html>", vec![BodyPiece::Page]),
            ("Hello", vec![]),
        ];
        for (body, expected) in cases {
            let mut reader = AnswerReader::default();

            let mut pieces = reader.push(body.as_bytes()).unwrap();
            let BodyEnd::Whole(last) = reader.finish() else { panic!("{body}") };
            pieces.extend(last);

            assert_eq!(pieces, expected, "{body}");
        }
    }

    #[test]
    fn half_a_document_is_no_whole_body() {
        let mut reader = AnswerReader::default();

        assert_eq!(reader.push(b"  \n").unwrap(), []);
        assert_eq!(reader.push(b"{\"choi").unwrap(), []);
        assert_eq!(reader.finish(), BodyEnd::InTheMiddle);
    }
}
