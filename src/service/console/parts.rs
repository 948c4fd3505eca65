//! What pages are made of. Every text is text: the templates escape it.

use askama::Template;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, Utc};
use pages::Page;

use super::filters;
use super::flash::{Flash, Told};
use super::job_states::StateDiagram;
use super::layout::Layout;
use crate::config::administrators::Administrator;

/// How something is to be taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tone {
    /// As it is.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// Worth a look.
    Warn,
    /// A person is needed, or was.
    Bad,
}

impl Tone {
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

/// A field of a table, or a fact.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    pub(super) text: String,
    /// Where it leads.
    pub(super) link: Option<String>,
    pub(super) tone: Tone,
    pub(super) is_tag: bool,
    /// The moment that the text tells, for machines.
    pub(super) moment: Option<String>,
}

impl Cell {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    pub(super) fn maybe(text: Option<impl Into<String>>) -> Self {
        Self::text(text.map(Into::into).unwrap_or_default())
    }

    pub(super) fn link(text: impl Into<String>, link: impl Into<String>) -> Self {
        Self { link: Some(link.into()), ..Self::text(text) }
    }

    /// Whether it is so short that it is better not broken.
    pub(super) fn is_short(&self) -> bool {
        self.text.chars().count() <= 14
    }

    /// A word that tells a state.
    pub(super) fn tag(text: impl Into<String>, tone: Tone) -> Self {
        Self { tone, is_tag: true, ..Self::text(text) }
    }

    pub(super) fn moment(moment: DateTime<Utc>) -> Self {
        let exact = moment.to_rfc3339_opts(SecondsFormat::Millis, true);
        Self { moment: Some(exact), ..Self::text(moment.format("%Y-%m-%d %H:%M:%S").to_string()) }
    }

    pub(super) fn maybe_moment(moment: Option<DateTime<Utc>>) -> Self {
        moment.map_or_else(Self::default, Self::moment)
    }
}

/// Rows of fields.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) head: Vec<&'static str>,
    pub(super) rows: Vec<Vec<Cell>>,
    /// Said where there are none.
    pub(super) none: String,
}

impl Table {
    pub(super) fn new<const N: usize>(
        head: [&'static str; N],
        rows: impl IntoIterator<Item = [Cell; N]>,
        none: impl Into<String>,
    ) -> Self {
        Self { head: head.to_vec(), rows: rows.into_iter().map(Vec::from).collect(), none: none.into() }
    }
}

/// A field of a form.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) value: String,
    /// What can be chosen; empty: anything can be written. The first one is none.
    pub(super) choices: Vec<String>,
    /// It goes along and is not shown.
    pub(super) is_hidden: bool,
    pub(super) is_required: bool,
    /// Several lines.
    pub(super) is_long: bool,
}

impl Field {
    pub(super) fn written(name: &'static str, label: &'static str, value: Option<&str>) -> Self {
        let value = value.unwrap_or_default().to_owned();
        Self { name, label, value, choices: Vec::new(), is_hidden: false, is_required: false, is_long: false }
    }

    pub(super) fn chosen(
        name: &'static str,
        label: &'static str,
        value: Option<&str>,
        choices: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let choices = choices.into_iter().map(Into::into).collect();
        Self { choices, ..Self::written(name, label, value) }
    }

    pub(super) fn hidden(name: &'static str, value: impl Into<String>) -> Self {
        Self { is_hidden: true, value: value.into(), ..Self::written(name, "", None) }
    }

    pub(super) fn long(self) -> Self {
        Self { is_long: true, ..self }
    }

    pub(super) fn required(self) -> Self {
        Self { is_required: true, ..self }
    }
}

/// Something that an administrator can do.
#[derive(Debug)]
pub(super) struct Action {
    pub(super) label: String,
    /// Where the form goes.
    pub(super) path: String,
    pub(super) fields: Vec<Field>,
    /// What it does, said before it is done; such an action takes a second press. `None`: it is done at once.
    pub(super) confirm: Option<String>,
    pub(super) is_danger: bool,
    /// The access key that presses it.
    pub(super) key: Option<char>,
}

impl Action {
    pub(super) fn new(label: impl Into<String>, path: impl Into<String>) -> Self {
        let (label, path) = (label.into(), path.into());
        Self { label, path, fields: Vec::new(), confirm: None, is_danger: false, key: None }
    }

    pub(super) fn with(mut self, field: Field) -> Self {
        self.fields.push(field);
        self
    }

    pub(super) fn confirmed(self, what: impl Into<String>) -> Self {
        Self { confirm: Some(what.into()), ..self }
    }

    pub(super) fn key(self, key: char) -> Self {
        Self { key: Some(key), ..self }
    }

    pub(super) fn danger(self) -> Self {
        Self { is_danger: true, ..self }
    }
}

/// Something that was said, as a chat shows it.
#[derive(Debug)]
pub(super) struct Bubble {
    pub(super) by_person: bool,
    pub(super) text: String,
    pub(super) at: Cell,
    /// Where it was said.
    pub(super) place: String,
    /// Whether it reached the phone.
    pub(super) reached: Option<Cell>,
}

/// A part of a page.
#[derive(Debug, Default)]
pub(super) struct Section {
    pub(super) title: String,
    /// One sentence on what follows.
    pub(super) lead: String,
    pub(super) facts: Vec<(&'static str, Cell)>,
    pub(super) states: Option<StateDiagram>,
    pub(super) table: Option<Table>,
    pub(super) pre: Option<String>,
    pub(super) thread: Vec<Bubble>,
    pub(super) actions: Vec<Action>,
}

impl Section {
    pub(super) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    pub(super) fn lead(self, lead: impl Into<String>) -> Self {
        Self { lead: lead.into(), ..self }
    }

    pub(super) fn facts(self, facts: impl IntoIterator<Item = (&'static str, Cell)>) -> Self {
        let facts = facts.into_iter().filter(|(_, cell)| !cell.text.is_empty()).collect();
        Self { facts, ..self }
    }

    pub(super) fn states(self, states: StateDiagram) -> Self {
        Self { states: Some(states), ..self }
    }

    pub(super) fn table(self, table: Table) -> Self {
        Self { table: Some(table), ..self }
    }

    pub(super) fn pre(self, text: impl Into<String>) -> Self {
        Self { pre: Some(text.into()), ..self }
    }

    pub(super) fn thread(self, thread: impl IntoIterator<Item = Bubble>) -> Self {
        Self { thread: thread.into_iter().collect(), ..self }
    }

    pub(super) fn actions(self, actions: impl IntoIterator<Item = Action>) -> Self {
        Self { actions: actions.into_iter().collect(), ..self }
    }
}

/// A page of parts.
#[derive(Template)]
#[template(path = "sections.html")]
pub(super) struct Sections {
    pub(super) layout: Layout,
    pub(super) title: String,
    /// Where one came from.
    pub(super) up: Option<(&'static str, &'static str)>,
    pub(super) filter: Vec<Field>,
    pub(super) sections: Vec<Section>,
    /// Where the list goes on.
    pub(super) next: Option<String>,
    /// What the page does not show.
    pub(super) note: Option<String>,
}

impl Sections {
    pub(super) fn new(
        who: &Administrator,
        here: &'static str,
        flash: Option<Flash>,
        title: impl Into<String>,
        sections: Vec<Section>,
    ) -> Self {
        let layout = Layout::of(who, here, flash);
        Self { layout, title: title.into(), up: None, filter: Vec::new(), sections, next: None, note: None }
    }

    /// It answers a form.
    pub(super) fn still(self) -> Self {
        Self { layout: Layout { is_live: false, ..self.layout }, ..self }
    }

    pub(super) fn up(self, address: &'static str, name: &'static str) -> Self {
        Self { up: Some((address, name)), ..self }
    }

    pub(super) fn filter(self, filter: Vec<Field>) -> Self {
        Self { filter, ..self }
    }

    pub(super) fn next(self, next: Option<String>) -> Self {
        Self { next, ..self }
    }

    pub(super) fn note(self, note: Option<String>) -> Self {
        Self { note, ..self }
    }
}

impl IntoResponse for Sections {
    fn into_response(self) -> Response {
        (Told, Page(self)).into_response()
    }
}
