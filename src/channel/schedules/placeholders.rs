//! `{{user.id}}` and the like in an author's text.
//!
//! A user may lack an attribute, so its placeholder says what stands there then, behind a bar: `{{user.name|friend}}`, or `{{user.name|}}` for nothing.
//! What is filled in is never read for placeholders again.

use std::collections::BTreeMap;

use crate::outbound::planning;
use crate::user_attributes;

/// What may stand in a text; each has its name.
#[derive(Clone, Debug)]
pub struct PlaceholderValues<'a> {
    /// `{{user.id}}`
    pub user_id: &'a str,
    /// `{{user.plan}}`
    pub user_plan: &'a str,
    /// `{{user.attributes.NAME|default}}`; the one called `name` is also `{{user.name|default}}`
    pub attributes: &'a BTreeMap<String, String>,
    /// `{{slot.date}}`, in the schedule's zone, like 2026-11-23
    pub slot_date: &'a str,
    /// `{{slot.time}}`, in the schedule's zone, like 08:30
    pub slot_time: &'a str,
    /// `{{slot.weekday}}`, in English
    pub slot_weekday: &'a str,
}

/// The names that always have a value.
const NAMES: [&str; 5] = ["user.id", "user.plan", "slot.date", "slot.time", "slot.weekday"];

/// A piece of a text.
enum TextPiece<'a> {
    Text(&'a str),
    /// What stands between `{{` and `}}`.
    Placeholder(&'a str),
    /// What follows `{{` where no `}}` comes any more.
    Unclosed(&'a str),
}

/// What a placeholder asks for.
enum Placeholder<'a> {
    /// One of [`NAMES`].
    Name(&'a str),
    /// An attribute, and what stands in its place for users without it.
    Attribute { name: &'a str, default: &'a str },
}

/// Puts values in the place of their names. Unknown names were refused when the file was read, and stay as they are. A blank attribute counts as none.
#[must_use]
pub fn fill(text: &str, values: &PlaceholderValues<'_>) -> String {
    let mut filled = String::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            TextPiece::Text(text) => filled.push_str(text),
            TextPiece::Unclosed(rest) => filled.extend(["{{", rest]),
            TextPiece::Placeholder(inner) => match Placeholder::read(inner) {
                Ok(placeholder) => filled.push_str(placeholder.value(values)),
                Err(_) => filled.extend(["{{", inner, "}}"]),
            },
        }
    }
    filled
}

/// The first placeholder in a text that is none, and why.
pub fn check(text: &str) -> Result<(), String> {
    pieces(text).try_for_each(|piece| match piece {
        TextPiece::Text(_) => Ok(()),
        TextPiece::Placeholder(inner) => Placeholder::read(inner).map(|_| ()),
        TextPiece::Unclosed(_) => Err("\"{{\" is never closed by \"}}\"".to_owned()),
    })
}

fn pieces(text: &str) -> impl Iterator<Item = TextPiece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some(from) = rest.strip_prefix("{{") else {
            let (text, after) = rest.split_at(rest.find("{{").unwrap_or(rest.len()));
            rest = after;
            return Some(TextPiece::Text(text));
        };
        let closed = from.split_once("}}");
        rest = closed.map_or("", |(_, after)| after);
        Some(closed.map_or(TextPiece::Unclosed(from), |(inner, _)| TextPiece::Placeholder(inner)))
    })
}

impl<'a> Placeholder<'a> {
    fn read(inner: &'a str) -> Result<Self, String> {
        let (name, default) = match inner.split_once('|') {
            Some((name, default)) => (name.trim(), Some(default.trim())),
            None => (inner.trim(), None),
        };
        let attribute =
            if name == "user.name" { Some("name") } else { name.strip_prefix("user.attributes.") };
        let Some(attribute) = attribute else {
            return match default {
                _ if !NAMES.contains(&name) => Err(unknown(inner)),
                Some(_) => Err(format!(
                    "{{{{{inner}}}}} needs no default, {name} is never missing: write {{{{{name}}}}}"
                )),
                None => Ok(Self::Name(name)),
            };
        };
        if !user_attributes::is_name(attribute) {
            return Err(format!(
                "{{{{{inner}}}}}: {attribute:?} can be no attribute's name; one has 1 to 64 letters of A to Z, a to z, digits, _ and -"
            ));
        }
        let Some(default) = default else {
            return Err(format!(
                "{{{{{inner}}}}} has no default: write {{{{{name}|…}}}} with what stands there otherwise, a user may have none"
            ));
        };
        if default.contains(['{', '}']) {
            return Err(format!("{{{{{inner}}}}}: a default is read as it is written, and holds no braces"));
        }
        Ok(Self::Attribute { name: attribute, default })
    }

    fn value<'v>(&self, values: &PlaceholderValues<'v>) -> &'v str
    where
        'a: 'v,
    {
        match self {
            Self::Attribute { name, default } => values
                .attributes
                .get(*name)
                .filter(|value| !planning::is_blank(value))
                .map_or(default, String::as_str),
            Self::Name("user.id") => values.user_id,
            Self::Name("user.plan") => values.user_plan,
            Self::Name("slot.date") => values.slot_date,
            Self::Name("slot.time") => values.slot_time,
            Self::Name("slot.weekday") => values.slot_weekday,
            Self::Name(name) => name,
        }
    }
}

fn unknown(inner: &str) -> String {
    let names = NAMES.join(", ");
    format!(
        "{{{{{inner}}}}} is unknown; the names are {names}, and with a default user.name|… and user.attributes.NAME|…"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text filled for a user with these attributes.
    fn filled(text: &str, attributes: &[(&str, &str)]) -> String {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let values = PlaceholderValues {
            user_id: "{{user.plan}}",
            user_plan: "pro",
            attributes: &attributes.iter().map(owned).collect(),
            slot_date: "2026-11-23",
            slot_time: "08:30",
            slot_weekday: "Monday",
        };
        fill(text, &values)
    }

    #[test]
    fn names_are_filled_and_what_a_user_is_called_is_not_read_again() {
        assert_eq!(filled("Hi {{user.id}}, {{ user.plan }} {{x}} {{", &[]), "Hi {{user.plan}}, pro {{x}} {{");
        assert_eq!(filled("{{slot.date}} {{slot.time}} {{slot.weekday}}", &[]), "2026-11-23 08:30 Monday");
        assert_eq!(filled("{{user.name|you}}!", &[("name", "{{user.id}}")]), "{{user.id}}!");
        assert_eq!(filled("{{user.name|}}user.plan}}", &[("name", "{{")]), "{{user.plan}}");
    }

    #[test]
    fn an_attribute_that_a_user_lacks_is_its_default() {
        let alice =
            [("name", "Alice"), ("city", "Köln\nEhrenfeld"), ("first-name_2", "A"), ("blank", " \n\u{200b}")];
        for (text, expected) in [
            ("Hi {{user.name|friend}}!", "Hi Alice!"),
            ("{{ user.name | friend }}", "Alice"),
            ("{{user.attributes.name|friend}}", "Alice"),
            ("{{user.attributes.city|}}", "Köln\nEhrenfeld"),
            ("{{user.attributes.first-name_2|}}", "A"),
            ("{{user.attributes.nick|friend of ours}}", "friend of ours"),
            ("{{user.attributes.nick| a|b }}", "a|b"),
            ("[{{user.attributes.nick|}}]", "[]"),
            ("{{user.attributes.Name|nobody}}", "nobody"),
            ("{{user.attributes.blank|friend}}", "friend"),
        ] {
            assert!(check(text).is_ok(), "{text}");
            assert_eq!(filled(text, &alice), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_placeholder_is_told_with_the_remedy() {
        assert!(check("Hi {{user.id}}, } { }} {").is_ok());
        for (text, told) in [
            (
                "Hi {{user.nick}}",
                "{{user.nick}} is unknown; the names are user.id, user.plan, slot.date, slot.time, slot.weekday, and",
            ),
            ("{{name|friend}}", "{{name|friend}} is unknown"),
            ("{{}}", "{{}} is unknown"),
            ("Hi {{user.id", "never closed"),
            (
                "{{user.name}}",
                "{{user.name}} has no default: write {{user.name|…}} with what stands there otherwise, a user may have none",
            ),
            ("{{ user.attributes.city }}", "write {{user.attributes.city|…}}"),
            ("{{user.attributes.|x}}", "\"\" can be no attribute's name"),
            ("{{user.attributes.a.b|x}}", "\"a.b\" can be no attribute's name"),
            ("{{user.attributes.näme|x}}", "\"näme\" can be no attribute's name"),
            ("{{user.id|x}}", "{{user.id|x}} needs no default, user.id is never missing: write {{user.id}}"),
            ("{{slot.date|}}", "write {{slot.date}}"),
            (
                "{{user.name|{{user.id}}}}",
                "{{user.name|{{user.id}}: a default is read as it is written, and holds no braces",
            ),
            ("{{user.id}} {{user.name|{}}", "holds no braces"),
        ] {
            let wrong = check(text).unwrap_err();
            assert!(wrong.contains(told), "{text}: {wrong}");
        }
    }
}
