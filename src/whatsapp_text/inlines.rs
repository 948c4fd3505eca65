//! The runs of a paragraph, each with its emphasis. Emphasis is a property of a run and no longer a pair of signs, so that nothing is nested in its
//! own kind and every line can have signs of its own.

use std::borrow::Cow;

/// What WhatsApp can do with words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Emphasis {
    Bold,
    Italic,
    Strike,
}

impl Emphasis {
    /// Its sign.
    pub(crate) fn sign(self) -> char {
        match self {
            Self::Bold => '*',
            Self::Italic => '_',
            Self::Strike => '~',
        }
    }
}

/// The emphasis of a run, the outermost first, each kind once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Style {
    kinds: [Option<Emphasis>; 3],
}

impl Style {
    pub(crate) fn iter(self) -> impl Iterator<Item = Emphasis> {
        self.kinds.into_iter().flatten()
    }

    pub(crate) fn has(self, emphasis: Emphasis) -> bool {
        self.kinds.contains(&Some(emphasis))
    }

    #[must_use]
    pub(crate) fn with(mut self, emphasis: Emphasis) -> Self {
        if !self.has(emphasis)
            && let Some(free) = self.kinds.iter_mut().find(|kind| kind.is_none())
        {
            *free = Some(emphasis);
        }
        self
    }

    #[must_use]
    pub(crate) fn without(self, emphasis: Emphasis) -> Self {
        self.iter().filter(|kind| *kind != emphasis).fold(Self::default(), Self::with)
    }
}

/// What a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunKind {
    /// Words, in which asterisks may be a sign that the parser has not seen.
    Text,
    /// Words in which every sign stands for itself.
    Escaped,
    /// One sign behind a backslash: its author wants to see it.
    Sign,
    /// Between backticks.
    Code,
    /// A URL: no sign may touch it.
    Url,
    /// A new line.
    Break,
    /// The edge of an HTML block: a new line unless there is one.
    Edge,
}

/// A piece of a paragraph.
#[derive(Clone, Debug)]
pub(crate) struct Run<'a> {
    pub(crate) kind: RunKind,
    pub(crate) text: Cow<'a, str>,
    pub(crate) style: Style,
}

/// A paragraph in the making.
#[derive(Debug, Default)]
pub(crate) struct Inlines<'a> {
    pub(crate) runs: Vec<Run<'a>>,
    /// The emphasis of what comes next.
    style: Style,
    /// How often each kind is open: bold in a heading is opened twice.
    open: [usize; 3],
    /// A block's edge was just written: the source's own line break adds nothing.
    at_edge: bool,
}

impl<'a> Inlines<'a> {
    pub(crate) fn open(&mut self, emphasis: Emphasis) {
        self.open[emphasis as usize] += 1;
        self.style = self.style.with(emphasis);
    }

    pub(crate) fn close(&mut self, emphasis: Emphasis) {
        let open = &mut self.open[emphasis as usize];
        *open = open.saturating_sub(1);
        if *open == 0 {
            self.style = self.style.without(emphasis);
        }
    }

    pub(crate) fn push(&mut self, kind: RunKind, text: impl Into<Cow<'a, str>>) {
        self.push_styled(kind, text, self.style);
    }

    /// Adds a run with no emphasis, whatever is open.
    pub(crate) fn push_plain(&mut self, kind: RunKind, text: impl Into<Cow<'a, str>>) {
        self.push_styled(kind, text, Style::default());
    }

    fn push_styled(&mut self, kind: RunKind, text: impl Into<Cow<'a, str>>, style: Style) {
        let text = text.into();
        match kind {
            RunKind::Break if self.at_edge => self.at_edge = false,
            RunKind::Break | RunKind::Edge => {
                self.at_edge = kind == RunKind::Edge;
                self.runs.push(Run { kind, text, style });
            }
            _ if text.is_empty() => {}
            _ => {
                self.at_edge = false;
                self.runs.push(Run { kind, text, style });
            }
        }
    }

    /// A new line that is asked for by a tag; the source's own line break behind it adds nothing.
    pub(crate) fn line_break(&mut self) {
        self.at_edge = false;
        self.push(RunKind::Break, "");
        self.at_edge = true;
    }

    /// Whether there is something in the last line.
    pub(crate) fn line_has_words(&self) -> bool {
        self.runs.last().is_some_and(|run| !matches!(run.kind, RunKind::Break | RunKind::Edge))
    }

    /// The runs of each line.
    pub(crate) fn lines(&self) -> Vec<&[Run<'a>]> {
        let mut lines = Vec::new();
        let mut from = 0;
        for (at, run) in self.runs.iter().enumerate() {
            match run.kind {
                RunKind::Break => lines.push(&self.runs[from..at]),
                RunKind::Edge if at > from => lines.push(&self.runs[from..at]),
                RunKind::Edge => {}
                _ => continue,
            }
            from = at + 1;
        }
        lines.push(&self.runs[from..]);
        lines
    }

    /// The words alone, from a run on.
    pub(crate) fn words_from(&self, from: usize) -> String {
        self.runs[from.min(self.runs.len())..].iter().map(|run| &*run.text).collect()
    }
}
