//! Lines without phone numbers, whatever a library's error quotes: a database names the value that it does not like.

use std::io::{self, Write};

use outside::words;

/// Passes on each line that it is given, with no more of a number than its last four digits. A line comes in one piece.
pub(super) struct MaskingWriter<W>(pub(super) W);

impl<W: Write> Write for MaskingWriter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let line_without = words::without_phone_numbers(&String::from_utf8_lossy(line));
        self.0.write_all(line_without.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_no_number_and_keeps_its_time_and_its_ids() {
        let mut lines = MaskingWriter(Vec::new());
        let line = "2026-11-28T21:10:29.383777Z ERROR invalid value \"whatsapp:+15005550100\" chunk.id=1234567 \
                    sid=\"SM00000000000000000000000000000009\" trace=\"12345678901234567890123456789012\"\n";

        lines.write_all(line.as_bytes()).unwrap();

        assert_eq!(String::from_utf8(lines.0).unwrap(), line.replace("+15005550100", "+…0100"));
    }
}
