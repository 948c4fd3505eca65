//! Channels, as gpt-oss writes them where its server does not read them: `<|channel|>analysis<|message|>…<|end|>` is a thought, a call of a tool has a
//! receiver, and the rest is for the person.

use std::ops::Range;

use super::thoughts::is_in_prose;
use super::{WithheldKind, Without, code};

const START: &str = "<|start|>";
const CHANNEL: &str = "<|channel|>";
const MESSAGE: &str = "<|message|>";
const ENDS: [&str; 3] = ["<|end|>", "<|return|>", "<|call|>"];
/// What else may stand where a message has ended.
const OTHERS: [&str; 4] = [START, CHANNEL, MESSAGE, "<|constrain|>"];

/// The longest part of a header.
const NAME_BYTES: usize = 120;

/// What stands before a message.
struct Header {
    range: Range<usize>,
    is_spoken: bool,
}

/// Takes out thoughts and calls with the marks of all messages, and says whether the last message is a thought that never ends. Marks in code
/// are text, but within a thought nothing is code.
pub(super) fn take_out(text: &str) -> (Without<'_>, bool) {
    let Some(first) = first_header(text) else { return (Without::nothing(text), false) };
    let mut kept = String::new();
    let before = &text[..first.range.start];
    // Of a thought whose own header was in the prompt only the end is seen.
    if !ENDS.iter().any(|end| before.trim_end().ends_with(end)) {
        kept.push_str(before);
    }
    let (mut at, mut breaks_off) = (first.range.start, false);
    while at < text.len() {
        let header = header_at(text, at);
        let mark = ENDS.iter().chain(&OTHERS).find(|mark| text[at..].starts_with(**mark));
        breaks_off = header.as_ref().is_some_and(|header| !header.is_spoken);
        match (header, mark) {
            (Some(header), _) if !header.is_spoken => {
                at = end_of_thought(text, header.range.end);
                breaks_off = at == text.len();
            }
            (Some(header), _) => {
                at = next_mark(text, header.range.end);
                say(&mut kept, &text[header.range.end..at]);
            }
            (None, Some(mark)) => at += mark.len(),
            (None, None) => {
                let begin = at;
                at = next_mark(text, begin);
                say(&mut kept, &text[begin..at]);
            }
        }
    }
    let text = kept.trim_start_matches(['\n', '\r']).trim_end().to_owned();
    (Without { text: text.into(), kinds: vec![WithheldKind::Thought] }, breaks_off)
}

/// The first header outside of code and of a sentence about it.
fn first_header(text: &str) -> Option<Header> {
    let mut at = 0;
    while let Some(mark) = text[at..].find(['`', '~', '<']) {
        let mark = at + mark;
        at = match code::end(text, mark) {
            Some(end) => end,
            None => mark + 1,
        };
        if let Some(header) = header_at(text, mark).filter(|header| !is_in_prose(text, &header.range)) {
            return Some(header);
        }
    }
    None
}

fn header_at(text: &str, at: usize) -> Option<Header> {
    let head = &text[at..];
    if !head.starts_with(START) && !head.starts_with(CHANNEL) {
        return None;
    }
    // No more than a header is searched, or a text of nothing but marks would be read anew at each of them.
    let begin = &head.as_bytes()[..head.len().min(2 * NAME_BYTES + MESSAGE.len())];
    let length = begin.windows(MESSAGE.len()).position(|mark| mark == MESSAGE.as_bytes())?;
    let (role, channel) = head[..length].split_once(CHANNEL)?;
    if channel.contains(CHANNEL) || ENDS.iter().any(|end| head[..length].contains(end)) {
        return None;
    }
    let has_receiver = role.contains(" to=") || channel.contains(" to=");
    let is_spoken = match channel.split([' ', '<', '\n']).next()? {
        "final" => true,
        "commentary" => !has_receiver,
        "analysis" => false,
        _ => return None,
    };
    Some(Header { range: at..at + length + MESSAGE.len(), is_spoken })
}

/// Where the next message, or the end of this one, is marked outside of code; else the text's end.
fn next_mark(text: &str, from: usize) -> usize {
    let mut at = from;
    while let Some(mark) = text[at..].find(['`', '~', '<']) {
        let mark = at + mark;
        if [START, CHANNEL].iter().chain(&ENDS).any(|wanted| text[mark..].starts_with(*wanted)) {
            return mark;
        }
        at = code::end(text, mark).unwrap_or(mark + 1);
    }
    text.len()
}

/// Where a thought ends, or the next message has its header; else the text's end. A mark that a thought only speaks of ends nothing.
fn end_of_thought(text: &str, from: usize) -> usize {
    let marks = text[from..].match_indices('<').map(|(mark, _)| from + mark);
    let ends = |mark: &usize| {
        ENDS.iter().any(|end| text[*mark..].starts_with(end)) || header_at(text, *mark).is_some()
    };
    marks.into_iter().find(ends).unwrap_or(text.len())
}

/// Adds a message. Two are two paragraphs.
fn say(kept: &mut String, message: &str) {
    if message.trim().is_empty() {
        return;
    }
    if !kept.trim().is_empty() && !kept.ends_with('\n') && !message.starts_with('\n') {
        kept.push_str("\n\n");
    }
    kept.push_str(message);
}
