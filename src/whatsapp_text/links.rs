//! Where a link leads, as it is shown: WhatsApp makes a link of a bare URL alone.

use std::borrow::Cow;

use crate::entities;
use crate::inlines::{Inlines, RunKind};

/// A destination as the source has it, without the escapes that Markdown needs.
pub(crate) fn unescape(destination: &str) -> Cow<'_, str> {
    let destination = entities::decode(destination);
    if !destination.contains('\\') {
        return destination;
    }
    let mut text = String::with_capacity(destination.len());
    let mut chars = destination.chars().peekable();
    while let Some(char) = chars.next() {
        if char != '\\' || !chars.peek().is_some_and(char::is_ascii_punctuation) {
            text.push(char);
        }
    }
    Cow::Owned(text)
}

/// Ends a link whose words begin at a run: its destination follows them, unless they are it.
pub(crate) fn end<'a>(inlines: &mut Inlines<'a>, from: usize, destination: Cow<'a, str>) {
    let Some(destination) = shown(destination) else { return };
    let words = inlines.words_from(from);
    let words = words.trim();
    if words.is_empty() {
        inlines.push(RunKind::Url, destination);
        return;
    }
    if is_same(words, &destination) {
        // The destination can be touched, the words perhaps not.
        if !destination.ends_with(words) || words.len() + "https://".len() >= destination.len() {
            inlines.runs.truncate(from);
            inlines.push(RunKind::Url, destination);
        }
        return;
    }
    inlines.push_plain(RunKind::Text, " (");
    inlines.push_plain(RunKind::Url, destination);
    inlines.push_plain(RunKind::Text, ")");
}

/// What a person can use of a destination. `None`: nothing.
fn shown(destination: Cow<'_, str>) -> Option<Cow<'_, str>> {
    let destination = match destination {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    };
    let has_scheme =
        |scheme: &str| destination.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme));
    if destination.is_empty()
        || destination.starts_with('#')
        || has_scheme("data:")
        || has_scheme("javascript:")
    {
        return None;
    }
    for scheme in ["mailto:", "tel:"] {
        if has_scheme(scheme) {
            let rest = destination[scheme.len()..].split('?').next().unwrap_or_default().to_owned();
            return (!rest.is_empty()).then_some(Cow::Owned(rest));
        }
    }
    // A blank would end it.
    Some(if destination.contains(' ') { Cow::Owned(destination.replace(' ', "%20")) } else { destination })
}

/// Whether the words of a link are its destination, in whole or without the scheme.
fn is_same(words: &str, destination: &str) -> bool {
    let bare = |url: &str| {
        let url = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or(url);
        url.strip_suffix('/').unwrap_or(url).to_owned()
    };
    bare(words) == bare(destination)
}
