//! Thoughts, as models write them before and between what they say. Some templates have the opening tag in the prompt, so that only the closing one
//! is seen.

use std::ops::Range;

use super::{WithheldKind, Without, code, gap};

/// The names of the tags, in small letters.
const NAMES: [&str; 7] =
    ["think", "thinking", "thought", "thoughts", "reasoning", "antthinking", "antml:thinking"];

/// Mistral's tag. In small letters it may be anything in brackets.
const IN_BRACKETS: &str = "THINK]";

/// What stands directly around a tag that somebody writes about.
const QUOTES: [(char, char); 6] =
    [('`', '`'), ('"', '"'), ('\'', '\''), ('\u{201C}', '\u{201D}'), ('\u{2018}', '\u{2019}'), ('«', '»')];

struct ThoughtTag {
    range: Range<usize>,
    closes: bool,
    form: TagForm,
}

/// A tag is closed by its like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TagForm {
    /// `<think>`.
    Angle,
    /// `[THINK]`.
    Bracket,
}

/// Takes them out, and says whether the last one never ends. Tags in code are text, but within a thought nothing is code.
pub(super) fn take_out(text: &str) -> (Without<'_>, bool) {
    let tags = tags(text);
    if tags.is_empty() {
        return (Without::nothing(text), false);
    }
    let endings = endings(&tags);
    let mut kept = String::new();
    let (mut kept_up_to, mut at) = (0, 0);
    let mut found = false;
    while let Some(mark) = text[at..].find(['`', '~', '<', '[']) {
        let mark = at + mark;
        if !text[mark..].starts_with(['<', '[']) {
            let run = code::run(&text[mark..], text[mark..].chars().next().unwrap_or_default());
            at = code::end(text, mark).unwrap_or(mark + run);
            continue;
        }
        let Ok(index) = tags.binary_search_by_key(&mark, |tag| tag.range.start) else {
            at = mark + 1;
            continue;
        };
        let tag = &tags[index];
        at = tag.range.end;
        match endings[index] {
            _ if tag.closes => {
                if !stands_at_edge_of_line(text, &tag.range) {
                    continue;
                }
                // Everything before the first one was thought.
                if found {
                    kept.push_str(&text[kept_up_to..tag.range.start]);
                } else {
                    kept.clear();
                }
            }
            Ending::Nowhere if is_in_prose(text, &tag.range) => continue,
            Ending::Nowhere => {
                kept.push_str(&text[kept_up_to..tag.range.start]);
                return (without(kept), true);
            }
            Ending::Of(_) if is_in_prose(text, &tag.range) => continue,
            Ending::Own(end) | Ending::Of(end) => {
                kept.push_str(&text[kept_up_to..tag.range.start]);
                at = end;
            }
        }
        found = true;
        at += gap(&kept, &text[at..]);
        kept_up_to = at;
    }
    if !found {
        return (Without::nothing(text), false);
    }
    kept.push_str(&text[kept_up_to..]);
    (without(kept), false)
}

fn without(kept: String) -> Without<'static> {
    Without { text: kept.trim_end().to_owned().into(), kinds: vec![WithheldKind::Thought] }
}

/// Every tag of a thought.
fn tags(text: &str) -> Vec<ThoughtTag> {
    let begins = text.match_indices(['<', '[']);
    let tag = |(start, begin)| if begin == "<" { tag_at(text, start) } else { bracket_at(text, start) };
    begins.filter_map(tag).collect()
}

fn bracket_at(text: &str, start: usize) -> Option<ThoughtTag> {
    let inside = &text[start + 1..];
    let name = inside.strip_prefix('/').unwrap_or(inside);
    // A link, or the name of one.
    let behind = name.strip_prefix(IN_BRACKETS).filter(|behind| !behind.starts_with(['(', '[', ':']))?;
    let range = start..text.len() - behind.len();
    (!is_quoted(text, &range)).then_some(ThoughtTag {
        range,
        closes: inside.starts_with('/'),
        form: TagForm::Bracket,
    })
}

fn tag_at(text: &str, start: usize) -> Option<ThoughtTag> {
    let inside = text[start + 1..].trim_start_matches(' ');
    let closes = inside.starts_with('/');
    let inside = inside.trim_start_matches(['/', ' ']);
    let name_ends = inside.find(|c: char| !c.is_ascii_alphabetic() && c != ':')?;
    let (name, attributes) = inside.split_at(name_ends);
    if !NAMES.contains(&name.to_ascii_lowercase().as_str()) {
        return None;
    }
    // What is long, or in several lines, is no tag.
    let close = attributes.find(['<', '>', '\n'])?;
    let separated = attributes.starts_with(['>', ' ', '\t']);
    if !separated || !attributes[close..].starts_with('>') || attributes[..close].ends_with('/') {
        return None;
    }
    let end = text.len() - attributes.len() + close + 1;
    (!is_quoted(text, &(start..end))).then_some(ThoughtTag {
        range: start..end,
        closes,
        form: TagForm::Angle,
    })
}

fn is_quoted(text: &str, tag: &Range<usize>) -> bool {
    let (before, after) = (text[..tag.start].chars().next_back(), text[tag.end..].chars().next());
    QUOTES.iter().any(|(open, close)| before == Some(*open) && after == Some(*close))
}

/// Where the thought of an opening tag ends.
#[derive(Clone, Copy)]
enum Ending {
    /// With the closing tag that is its own.
    Own(usize),
    /// With one that belongs to a later opening tag: this one, or that one, is only spoken of.
    Of(usize),
    /// Nowhere.
    Nowhere,
}

fn endings(tags: &[ThoughtTag]) -> Vec<Ending> {
    let mut endings = vec![Ending::Nowhere; tags.len()];
    for form in [TagForm::Angle, TagForm::Bracket] {
        let alike = || tags.iter().enumerate().filter(|(_, tag)| tag.form == form);
        let mut opened = Vec::new();
        for (index, tag) in alike() {
            if !tag.closes {
                opened.push(index);
            } else if let Some(opening) = opened.pop() {
                endings[opening] = Ending::Own(tag.range.end);
            }
        }
        let mut next_close = None;
        for (index, tag) in alike().rev() {
            match (tag.closes, endings[index], next_close) {
                (true, ..) => next_close = Some(tag.range.end),
                (false, Ending::Nowhere, Some(end)) => endings[index] = Ending::Of(end),
                _ => {}
            }
        }
    }
    endings
}

/// Whether a tag stands among words, as one that somebody writes about: `there is no <think> tag`.
pub(super) fn is_in_prose(text: &str, tag: &Range<usize>) -> bool {
    let separated =
        text[tag.end..].starts_with(|c: char| matches!(c, ' ' | '\t') || c.is_ascii_punctuation());
    separated && !code::begins_line(&text[..tag.start])
}

fn stands_at_edge_of_line(text: &str, tag: &Range<usize>) -> bool {
    let after = text[tag.end..].trim_start_matches([' ', '\t', '\r']);
    after.is_empty() || after.starts_with('\n') || code::begins_line(&text[..tag.start])
}
