//! The content lines of an iCalendar file (RFC 5545, 3.1): unfolded, each with the number of the line on which it begins.
//!
//! Lines are unfolded as bytes, since a fold may split a character.

use std::borrow::Cow;

use super::LineError;

/// A property, `NAME;PARAMETER=…:VALUE`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Property {
    /// Where it begins, from 1.
    pub(super) line: usize,
    /// In capital letters.
    pub(super) name: String,
    /// What stands behind the colon; parameters are passed over.
    pub(super) value: String,
}

/// A line, unfolded.
struct Unfolded<'a> {
    line: usize,
    bytes: Cow<'a, [u8]>,
}

/// The properties of a file; what is none, with its line.
pub(super) fn read(file: &[u8]) -> impl Iterator<Item = Result<Property, LineError>> {
    unfolded(file).into_iter().map(|line| line.and_then(|line| property(&line)))
}

fn unfolded(file: &[u8]) -> Vec<Result<Unfolded<'_>, LineError>> {
    let mut lines: Vec<Result<Unfolded<'_>, LineError>> = Vec::new();
    // A blank line ends what is before it.
    let mut goes_on = false;
    for (line, bytes) in (1..).zip(file.split(|byte| *byte == b'\n')) {
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        match bytes.split_first() {
            Some((b' ' | b'\t', more)) if goes_on => {
                if let Some(Ok(before)) = lines.last_mut() {
                    before.bytes.to_mut().extend_from_slice(more);
                }
            }
            Some((b' ' | b'\t', more)) if !more.trim_ascii().is_empty() => {
                let why = "the line begins with a blank, which folds it into the line before, and there is none: take the blank away";
                lines.push(Err(LineError { line, why: why.to_owned() }));
            }
            Some(_) if !bytes.trim_ascii().is_empty() => {
                lines.push(Ok(Unfolded { line, bytes: Cow::Borrowed(bytes) }));
                goes_on = true;
            }
            _ => goes_on = false,
        }
    }
    lines
}

fn property(unfolded: &Unfolded<'_>) -> Result<Property, LineError> {
    let text = String::from_utf8_lossy(&unfolded.bytes);
    let wrong = |why: &str| LineError { line: unfolded.line, why: why.to_owned() };
    let no_property = || {
        wrong(
            "the line has no property like SUMMARY:…; what goes on from the line before begins with a blank",
        )
    };
    let end = text.find([';', ':']).ok_or_else(no_property)?;
    let (name, rest) = text.split_at(end);
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(no_property());
    }
    let colon = colon(rest)
        .ok_or_else(|| wrong("no colon and value stand behind the property's name and parameters"))?;
    let value = rest[colon + 1..].to_owned();
    Ok(Property { line: unfolded.line, name: name.to_ascii_uppercase(), value })
}

/// Where the value begins: what stands in quotes separates nothing.
fn colon(text: &str) -> Option<usize> {
    let mut is_quoted = false;
    text.char_indices().find_map(|(place, character)| {
        is_quoted ^= character == '"';
        (!is_quoted && character == ':').then_some(place)
    })
}
