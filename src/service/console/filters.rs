//! Addresses of lists with their filters, and what templates do with texts.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use store::ids::UserId;
use url::form_urlencoded;

use super::failure::Failed;
use super::parts::Field;

/// Fields of the filters of all lists; each list has some of them. An empty one is none.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Wanted {
    pub(super) state: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) pool: Option<String>,
    pub(super) lane: Option<String>,
    pub(super) group: Option<String>,
    pub(super) user: Option<String>,
    pub(super) number: Option<String>,
    pub(super) purpose: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) code: Option<String>,
    pub(super) since: Option<String>,
    pub(super) until: Option<String>,
    pub(super) before: Option<String>,
    /// Of jobs: what their payload contains.
    pub(super) text: Option<String>,
    /// Of people: what the id, name or number begins with.
    pub(super) find: Option<String>,
}

/// Rows of a list on a page.
pub(super) const PAGE: i64 = 50;

impl Wanted {
    /// Fields that ask whose it is and when it was.
    pub(super) fn whose_and_when(&self) -> [Field; 4] {
        [
            Field::written("user", "User", self.user.as_deref()),
            Field::written("number", "Number", self.number.as_deref()),
            Field::written("since", "Since", self.since.as_deref()),
            Field::written("until", "Until", self.until.as_deref()),
        ]
    }

    /// The address of the same list with another `before`.
    pub(super) fn address(&self, path: &str, before: Option<&str>) -> String {
        let fields = [
            ("state", self.state.as_deref()),
            ("kind", self.kind.as_deref()),
            ("pool", self.pool.as_deref()),
            ("lane", self.lane.as_deref()),
            ("group", self.group.as_deref()),
            ("user", self.user.as_deref()),
            ("number", self.number.as_deref()),
            ("purpose", self.purpose.as_deref()),
            ("reason", self.reason.as_deref()),
            ("code", self.code.as_deref()),
            ("since", self.since.as_deref()),
            ("until", self.until.as_deref()),
            ("text", self.text.as_deref()),
            ("find", self.find.as_deref()),
            ("before", before),
        ];
        address(path, &fields)
    }

    pub(super) fn user(&self) -> Result<Option<UserId>, Failed> {
        given(self.user.as_deref())
            .map(|user| UserId::try_from(user.to_owned()).map_err(|error| Failed::invalid(error.to_string())))
            .transpose()
    }

    pub(super) fn number(&self) -> Option<String> {
        given(self.number.as_deref()).map(str::to_owned)
    }

    pub(super) fn since(&self) -> Result<Option<DateTime<Utc>>, Failed> {
        moment("since", self.since.as_deref())
    }

    pub(super) fn until(&self) -> Result<Option<DateTime<Utc>>, Failed> {
        moment("until", self.until.as_deref())
    }
}

/// A field of a filter, read as what it is.
pub(super) fn parsed<T: FromStr>(name: &str, text: Option<&str>) -> Result<Option<T>, Failed> {
    let Some(text) = given(text) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| Failed::invalid(format!("{name}: {text:?} is none")))
}

fn moment(name: &str, text: Option<&str>) -> Result<Option<DateTime<Utc>>, Failed> {
    let Some(text) = given(text) else { return Ok(None) };
    let read = DateTime::parse_from_rfc3339(text).map(|moment| moment.to_utc());
    read.map(Some).map_err(|_| {
        Failed::invalid(format!("{name}: {text:?} is no moment; write it like 2026-11-30T02:00:00Z"))
    })
}

/// An address with these fields, without those that are empty.
pub(super) fn address(path: &str, fields: &[(&str, Option<&str>)]) -> String {
    let given = fields
        .iter()
        .filter_map(|(name, value)| Some((*name, (*value)?)))
        .filter(|(_, value)| !value.is_empty());
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(given).finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// A text of a field that was left empty is no filter.
pub(super) fn given(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

/// JSON as a person reads it.
pub(super) fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|error| error.to_string())
}

/// A text in which what stands between backticks is code: pairs of a text and whether it is.
pub(super) fn pieces(text: &str) -> Vec<(&str, bool)> {
    let parts = text.split('`').enumerate().map(|(place, part)| (part, place % 2 == 1));
    parts.filter(|(part, _)| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_what_is_given() {
        let fields = [("state", Some("dead")), ("kind", None), ("lane", Some("a b&c"))];
        assert_eq!(address("/admin/jobs", &fields), "/admin/jobs?state=dead&lane=a+b%26c");
        assert_eq!(address("/admin/jobs", &[("kind", Some(""))]), "/admin/jobs");
    }

    #[test]
    fn code_stands_between_backticks() {
        assert_eq!(pieces("run `a b` now"), [("run ", false), ("a b", true), (" now", false)]);
    }
}
