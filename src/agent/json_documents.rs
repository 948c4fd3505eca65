//! JSON documents one behind the other, on lines of their own or not, alone or in an array: how some servers stream, and how all others answer.

use std::mem;

use crate::event_stream::TooLong;

/// The longest document that is taken in.
const DOCUMENT_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// Takes bytes in and gives whole objects out. What stands between them says nothing.
#[derive(Default)]
pub(crate) struct DocumentReader {
    document: Vec<u8>,
    depth: usize,
    in_string: bool,
    after_backslash: bool,
}

impl DocumentReader {
    /// The documents that these bytes complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<String>, TooLong> {
        let mut documents = Vec::new();
        for &byte in bytes {
            if self.depth == 0 && byte != b'{' {
                continue;
            }
            self.document.push(byte);
            match byte {
                _ if mem::take(&mut self.after_backslash) => {}
                b'\\' if self.in_string => self.after_backslash = true,
                b'"' => self.in_string = !self.in_string,
                b'{' | b'[' if !self.in_string => self.depth += 1,
                b'}' | b']' if !self.in_string => self.depth -= 1,
                _ => {}
            }
            if self.depth == 0 {
                let document = mem::take(&mut self.document);
                documents.push(String::from_utf8_lossy(&document).into_owned());
            }
        }
        if self.document.len() > DOCUMENT_LIMIT_BYTES {
            return Err(TooLong);
        }
        Ok(documents)
    }

    /// Whether a document has begun and not ended.
    pub(crate) fn is_in_the_middle(&self) -> bool {
        self.depth > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_the_same_wherever_the_network_cuts_them() {
        let bytes = "{\"a\": \"}\\\"{\"}\n[{\"b\":[1,\n{}]},{\"c\":\"größe\"}]\r\n{\"d\":";
        for size in 1..bytes.len() {
            let mut reader = DocumentReader::default();

            let packets = bytes.as_bytes().chunks(size);
            let documents: Vec<String> = packets.flat_map(|packet| reader.push(packet).unwrap()).collect();

            let expected = ["{\"a\": \"}\\\"{\"}", "{\"b\":[1,\n{}]}", "{\"c\":\"größe\"}"];
            assert_eq!(documents, expected, "in packets of {size}");
            assert!(reader.is_in_the_middle());
        }
    }
}
