//! From the parser's events to WhatsApp's lines.

/// Definitions of links.
mod definitions;
/// What is a heading.
mod headings;
/// What HTML does to a paragraph.
mod html;
/// Words and code, as the source has them.
mod words;

use std::borrow::Cow;
use std::ops::Range;

use pulldown_cmark::{Event, Tag, TagEnd};

use crate::blocks::{Blocks, RULE};
use crate::inlines::{Emphasis, Inlines, RunKind};
use crate::links;
use crate::masking::MaskedText;
use crate::parser::Parsed;
use crate::tables::Table;
use crate::unpaired;

/// Writes what was read.
pub(crate) fn write(source: &str, masked: &MaskedText, parsed: Parsed<'_>) -> String {
    let mut reader = Reader::new(source, masked);
    let mut definitions = parsed.unused_definitions.into_iter().peekable();
    let mut depth = 0_usize;
    for (event, range) in parsed.events {
        while depth == 0
            && let Some(definition) = definitions.next_if(|next| next.start < range.start)
        {
            reader.definition(definition);
        }
        match event {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth -= 1,
            _ => {}
        }
        reader.read(event, range);
    }
    for definition in definitions {
        reader.definition(definition);
    }
    reader.blocks.finish()
}

/// A link whose words are being read.
struct OpenLink<'a> {
    destination: Cow<'a, str>,
    /// The first run of its words.
    from: usize,
}

/// A block of code that is being read.
struct CodeBlock {
    start: usize,
    text: String,
}

struct Reader<'a> {
    source: &'a str,
    masked: &'a MaskedText,
    blocks: Blocks<'a>,
    inlines: Inlines<'a>,
    /// Where the paragraph begins that is being read.
    leaf: Option<usize>,
    /// What is before this was written by a mark.
    written_to: usize,
    /// `None`: signs that stay, as in `2*x and 3*y`.
    emphases: Vec<Option<Emphasis>>,
    links: Vec<OpenLink<'a>>,
    /// The last number of each list around; `None`: it has bullets, or no item yet.
    lists: Vec<Option<u64>>,
    /// A paragraph above a line of hyphens, which looks like a heading.
    is_above_rule: bool,
    table: Option<Table<'a>>,
    code: Option<CodeBlock>,
    /// The lines of an HTML block.
    html: Option<(usize, String)>,
    /// The first run of raised letters.
    raised_from: Option<usize>,
}

impl<'a> Reader<'a> {
    fn new(source: &'a str, masked: &'a MaskedText) -> Self {
        Self {
            source,
            masked,
            blocks: Blocks::new(source),
            inlines: Inlines::default(),
            leaf: None,
            written_to: 0,
            emphases: Vec::new(),
            links: Vec::new(),
            lists: Vec::new(),
            is_above_rule: false,
            table: None,
            code: None,
            html: None,
            raised_from: None,
        }
    }

    fn read(&mut self, event: Event<'_>, range: Range<usize>) {
        match event {
            Event::Start(tag) => self.start(tag, range),
            Event::End(tag) => self.end(tag, range),
            Event::Text(text) => self.text(&text, range),
            Event::Code(text) => self.code_span(&text, range),
            Event::Html(_) => {
                if let Some((_, html)) = &mut self.html {
                    html.push_str(&self.source[range]);
                }
            }
            Event::InlineHtml(_) => {
                self.begin_leaf(range.start);
                self.inline_html(range);
            }
            Event::FootnoteReference(_) => {
                self.begin_leaf(range.start);
                let label = &self.source[range];
                self.inlines.push(RunKind::Text, label.replacen("[^", "[", 1));
            }
            Event::SoftBreak | Event::HardBreak => {
                if range.start >= self.written_to {
                    self.inlines.push(RunKind::Break, "");
                }
            }
            Event::Rule => {
                self.finish_leaf(range.start);
                self.blocks.words(range.start, range.end, RULE);
            }
            Event::TaskListMarker(is_done) => {
                self.begin_leaf(range.start);
                self.inlines.push(RunKind::Text, if is_done { "☑ " } else { "☐ " });
            }
            Event::InlineMath(_) | Event::DisplayMath(_) => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>, range: Range<usize>) {
        match tag {
            Tag::Emphasis => self.open_emphasis(Emphasis::Italic, range),
            Tag::Strong => self.open_emphasis(Emphasis::Bold, range),
            Tag::Strikethrough => self.open_emphasis(Emphasis::Strike, range),
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                self.begin_leaf(range.start);
                let destination = self.destination(dest_url);
                self.links.push(OpenLink { destination, from: self.inlines.runs.len() });
            }
            Tag::TableCell => {
                self.leaf = Some(range.start);
            }
            Tag::TableHead | Tag::TableRow => {
                if let Some(table) = &mut self.table {
                    table.begin_row();
                }
            }
            _ => {
                self.finish_leaf(range.start);
                self.start_block(tag, range);
            }
        }
    }

    fn start_block(&mut self, tag: Tag<'_>, range: Range<usize>) {
        match tag {
            Tag::Paragraph => self.leaf = Some(range.start),
            Tag::Heading { .. } => {
                self.leaf = Some(range.start);
                self.is_above_rule = headings::is_above_rule(&self.source[range]);
                if !self.is_above_rule {
                    self.inlines.open(Emphasis::Bold);
                }
            }
            Tag::BlockQuote(kind) => {
                self.blocks.open_quote();
                if let Some(kind) = kind {
                    let line = self.source[range.clone()].find('\n').map_or(range.end, |at| range.start + at);
                    self.blocks.words(range.start, line, headings::of_alert(kind));
                }
            }
            Tag::CodeBlock(_) => self.code = Some(CodeBlock { start: range.start, text: String::new() }),
            Tag::HtmlBlock => self.html = Some((range.start, String::new())),
            Tag::List(_) => self.lists.push(None),
            Tag::Item => {
                let marker = self.marker(range.start);
                let indent = marker.len();
                self.blocks.open_item(marker, indent);
            }
            Tag::FootnoteDefinition(_) => {
                let label = self.source[range]
                    .trim_start()
                    .strip_prefix("[^")
                    .and_then(|rest| rest.split(']').next());
                self.blocks.open_item(format!("[{}] ", label.unwrap_or_default()), 0);
            }
            Tag::Table(_) => self.table = Some(Table::new(range.start)),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd, range: Range<usize>) {
        match tag {
            TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough => self.close_emphasis(range),
            TagEnd::Link => {
                if let Some(link) = self.links.pop() {
                    links::end(&mut self.inlines, link.from, link.destination);
                }
            }
            TagEnd::Image => {
                // Of an image that is a link the link is worth more.
                if let Some(image) = self.links.pop().filter(|_| self.links.is_empty()) {
                    links::end(&mut self.inlines, image.from, image.destination);
                }
            }
            TagEnd::TableCell => {
                let runs = self.take_runs();
                if let Some(table) = &mut self.table {
                    table.add_cell(runs);
                }
            }
            TagEnd::Table => {
                if let Some(table) = self.table.take() {
                    let start = table.start;
                    let lines = table.lines();
                    for (at, line) in lines.iter().enumerate() {
                        self.inlines.push(RunKind::Text, line.clone());
                        if at + 1 < lines.len() {
                            self.inlines.push(RunKind::Break, "");
                        }
                    }
                    self.leaf = Some(start);
                    self.finish_leaf(range.end);
                }
            }
            TagEnd::CodeBlock => {
                if let Some(code) = self.code.take() {
                    self.blocks.code(code.start, range.end, &code.text);
                }
            }
            TagEnd::HtmlBlock => self.html_block(range.end),
            TagEnd::Heading(_) => {
                self.inlines.close(Emphasis::Bold);
                self.finish_leaf(range.end);
                if std::mem::take(&mut self.is_above_rule) {
                    self.blocks.words(range.end, range.end, RULE);
                }
            }
            TagEnd::List(_) => {
                self.finish_leaf(range.end);
                self.lists.pop();
            }
            TagEnd::Item | TagEnd::FootnoteDefinition | TagEnd::BlockQuote(_) => {
                self.finish_leaf(range.end);
                let end = range.start + self.source[range].trim_end().len();
                self.blocks.close(end);
            }
            _ => self.finish_leaf(range.end),
        }
    }

    /// Begins a paragraph unless one is being read: an item of a list has words without one.
    fn begin_leaf(&mut self, start: usize) {
        self.leaf.get_or_insert(start);
    }

    /// Writes the paragraph that is being read.
    fn finish_leaf(&mut self, end: usize) {
        let Some(start) = self.leaf else { return };
        let mut inlines = self.take_inlines();
        unpaired::pair(&mut inlines);
        self.blocks.lines(start, end, &inlines.lines());
    }

    fn take_runs(&mut self) -> Vec<crate::inlines::Run<'a>> {
        let mut inlines = self.take_inlines();
        unpaired::pair(&mut inlines);
        inlines.runs
    }

    fn take_inlines(&mut self) -> Inlines<'a> {
        self.leaf = None;
        self.raised_from = None;
        self.links.clear();
        std::mem::take(&mut self.inlines)
    }

    /// What stands before an item: its list's own number, unless the author has given several the same.
    fn marker(&mut self, start: usize) -> String {
        let item = self.source[start..].trim_start();
        let digits = item.len() - item.trim_start_matches(|char: char| char.is_ascii_digit()).len();
        let Ok(own) = item[..digits].parse::<u64>() else { return "- ".to_owned() };
        let Some(last) = self.lists.last_mut() else { return "- ".to_owned() };
        let number = last.map_or(own, |last| own.max(last + 1));
        *last = Some(number);
        let sign = item[digits..].chars().next().unwrap_or('.');
        format!("{number}{sign} ")
    }
}
