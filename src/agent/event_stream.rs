//! Server-sent events, as the HTML standard has them: lines ended by LF, CR or both; `data:` lines that an empty line puts together;
//! everything else (comments, names, ids) says nothing to us. A line that is a JSON object by itself counts as data: so some proxies put an error
//! into a stream.

use std::mem;

/// The longest line that is taken in.
const LINE_LIMIT_BYTES: usize = 4 * 1024 * 1024;

/// Takes bytes in and gives the data of events out, wherever the network has cut them.
#[derive(Default)]
pub(crate) struct EventReader {
    line: Vec<u8>,
    data: Option<String>,
    after_return: bool,
}

/// A line or a document was longer than any that is meant for us.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl EventReader {
    /// The data of the events that these bytes complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<String>, TooLong> {
        let mut events = Vec::new();
        for part in bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            // The line feed of a CR LF ends no second line, though it may come in another packet.
            if mem::take(&mut self.after_return) && part == b"\n" {
                continue;
            }
            let content = part.strip_suffix(b"\n").or_else(|| part.strip_suffix(b"\r")).unwrap_or(part);
            if self.line.len() + content.len() > LINE_LIMIT_BYTES {
                return Err(TooLong);
            }
            self.line.extend_from_slice(content);
            self.after_return = part.ends_with(b"\r");
            if content.len() < part.len() {
                events.extend(self.end_line());
            }
        }
        Ok(events)
    }

    /// The event that the end of the stream completes: not every server sends the last empty line.
    pub(crate) fn finish(mut self) -> Option<String> {
        self.end_line();
        self.data
    }

    fn end_line(&mut self) -> Option<String> {
        let line = String::from_utf8_lossy(&mem::take(&mut self.line)).into_owned();
        if line.is_empty() {
            return self.data.take();
        }
        let line = line.trim_start_matches('\u{feff}');
        let (field, value) =
            if line.starts_with('{') { ("data", line) } else { line.split_once(':').unwrap_or((line, "")) };
        if field == "data" {
            let value = value.strip_prefix(' ').unwrap_or(value);
            match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str =
        ": hello\r\n\r\ndata: one\rdata:two\r\revent: x\nid: 1\ndata:  größe\n\ndata\n\ndata: last";

    #[test]
    fn events_are_the_same_wherever_the_network_cuts_them() {
        for size in 1..STREAM.len() {
            let mut reader = EventReader::default();

            let mut events = Vec::new();
            for packet in STREAM.as_bytes().chunks(size) {
                events.extend(reader.push(packet).unwrap());
            }
            events.extend(reader.finish());

            assert_eq!(events, ["one\ntwo", " größe", "", "last"], "in packets of {size}");
        }
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut reader = EventReader::default();

        let result = reader.push(&vec![b'x'; LINE_LIMIT_BYTES + 1]);

        assert_eq!(result, Err(TooLong));
    }
}
