//! Lines with their quotes, markers and indentation. The author's own gaps between blocks stay: a blank line where there was one or more.

use crate::inlines::Run;
use crate::line;

/// A rule.
pub(crate) const RULE: &str = "———";

/// What lines are written in.
enum Container {
    Quote,
    /// An item of a list, or a footnote.
    Item {
        /// Before its first line; `None`: that is written.
        marker: Option<String>,
        /// The indentation of its other lines.
        indent: usize,
    },
}

/// The text in the making.
pub(crate) struct Blocks<'a> {
    source: &'a str,
    out: String,
    containers: Vec<Container>,
    /// Where in the source the last thing that was written ends.
    last_end: usize,
    line: String,
}

impl<'a> Blocks<'a> {
    pub(crate) fn new(source: &'a str) -> Self {
        let out = String::with_capacity(source.len() + 16);
        Self { source, out, containers: Vec::new(), last_end: 0, line: String::new() }
    }

    pub(crate) fn open_quote(&mut self) {
        self.containers.push(Container::Quote);
    }

    pub(crate) fn open_item(&mut self, marker: String, indent: usize) {
        self.containers.push(Container::Item { marker: Some(marker), indent });
    }

    /// Ends the innermost container; an item without words is its marker.
    pub(crate) fn close(&mut self, end: usize) {
        if let Some(Container::Item { marker: Some(_), .. }) = self.containers.last() {
            self.separate(end);
            self.prefix();
            self.trim_line();
            self.last_end = end;
        }
        self.containers.pop();
    }

    /// Writes the lines of a block that stands at `start..end` of the source. Empty ones are left out, but for one between two others.
    pub(crate) fn lines(&mut self, start: usize, end: usize, lines: &[&[Run<'_>]]) {
        let mut text = std::mem::take(&mut self.line);
        let (mut is_first, mut gap) = (true, false);
        for runs in lines {
            text.clear();
            line::write(runs, &mut text);
            let words = text.trim_end().trim_start_matches([' ', '\t']);
            if words.is_empty() {
                gap = true;
                continue;
            }
            match (is_first, gap) {
                (true, _) => self.separate(start),
                (false, false) => self.out.push('\n'),
                (false, true) => self.out.push_str("\n\n"),
            }
            self.prefix();
            self.out.push_str(words);
            (is_first, gap) = (false, false);
        }
        if !is_first {
            self.last_end = self.end_of(start, end);
        }
        self.line = text;
    }

    /// Writes a line of our own.
    pub(crate) fn words(&mut self, start: usize, end: usize, words: &str) {
        self.separate(start);
        self.prefix();
        self.out.push_str(words);
        self.last_end = self.end_of(start, end);
    }

    /// Writes a block of code, byte for byte. Quotes and indentation would become part of it.
    pub(crate) fn code(&mut self, start: usize, end: usize, code: &str) {
        if code.trim().is_empty() {
            return;
        }
        self.separate(start);
        let before = self.out.len();
        if self
            .containers
            .iter()
            .any(|container| matches!(container, Container::Item { marker: Some(_), .. }))
        {
            self.prefix();
            self.trim_line();
        }
        if self.out.len() > before {
            self.out.push('\n');
        }
        // WhatsApp has no longer sign for a block that holds the sign itself: what is inside shows as a block then.
        let (opening, closing) = if code.contains("```") { ("", "") } else { ("```\n", "\n```") };
        self.out.push_str(opening);
        self.out.push_str(code.strip_suffix('\n').unwrap_or(code));
        self.out.push_str(closing);
        self.last_end = self.end_of(start, end);
    }

    pub(crate) fn finish(self) -> String {
        self.out
    }

    /// Where a block ends, without the line breaks behind it.
    fn end_of(&self, start: usize, end: usize) -> usize {
        start + self.source[start..end.max(start)].trim_end().len()
    }

    /// Begins a new line, below a blank one if the source has one there.
    fn separate(&mut self, start: usize) {
        if self.out.is_empty() {
            return;
        }
        self.out.push('\n');
        let between = self.source.get(self.last_end..start).unwrap_or_default();
        let mut lines = between.split('\n').skip(1).peekable();
        while let Some(line) = lines.next() {
            // The last one is the begin of the block's own line.
            if lines.peek().is_some() && line.trim_matches([' ', '\t', '>']).is_empty() {
                self.out.push('\n');
                return;
            }
        }
    }

    /// Writes what stands before the words of a line.
    fn prefix(&mut self) {
        if self.containers.iter().any(|container| matches!(container, Container::Quote)) {
            self.out.push_str("> ");
        }
        for container in &mut self.containers {
            let Container::Item { marker, indent } = container else { continue };
            match marker.take() {
                Some(marker) => self.out.push_str(&marker),
                None => self.out.extend(std::iter::repeat_n(' ', *indent)),
            }
        }
    }

    /// Takes the white space from the end of a line that has no words.
    fn trim_line(&mut self) {
        self.out.truncate(self.out.trim_end_matches(' ').len());
    }
}
