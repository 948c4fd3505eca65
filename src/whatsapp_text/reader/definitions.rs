//! Definitions of links that no words lead to, as in a list of sources: without them people would miss the URLs.

use std::ops::Range;

use super::Reader;

impl Reader<'_> {
    /// Writes a definition as a line of text.
    pub(super) fn definition(&mut self, range: Range<usize>) {
        if let Some(line) = line(&self.source[range.clone()]) {
            self.blocks.words(range.start, range.end, &line);
        }
    }
}

/// `None`: it leads to no URL, as in `[//]: # (a comment)`.
fn line(definition: &str) -> Option<String> {
    let (label, destination) = definition.split_once("]:").filter(|(_, rest)| rest.contains("://"))?;
    let destination = destination.trim();
    let shown = match destination.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
        Some((url, title)) => format!("{label}]: {url}{title}"),
        None => format!("{label}]: {destination}"),
    };
    Some(shown.replace('\n', " "))
}
