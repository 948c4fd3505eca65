//! Bounds: how long a text may be, how large a number, which words there are. They are read from the description, so that what it says is what holds.

use std::collections::BTreeMap;

use serde_json::Value;

/// What a value may be.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    is_number: bool,
    minimum: Option<i64>,
    maximum: Option<i64>,
    min_length: Option<u64>,
    max_length: Option<u64>,
    /// The only texts; empty: any.
    texts: Vec<String>,
    /// Of an object.
    fields: BTreeMap<String, Bounds>,
    /// Of an array's items, and of an object's values whose names are not known.
    others: Option<Box<Bounds>>,
}

impl Bounds {
    /// What a schema says; `components` has what it refers to.
    pub(super) fn of(schema: &Value, components: &Value) -> Self {
        if let Some(name) = schema["$ref"].as_str().and_then(|location| location.rsplit('/').next()) {
            return Self::of(&components["schemas"][name], components);
        }
        for choice in ["oneOf", "anyOf"] {
            let Some(variants) = schema[choice].as_array() else { continue };
            let mut given = variants.iter().filter(|variant| variant["type"] != "null");
            // Of several forms the handler must know which one it has.
            return match (given.next(), given.next()) {
                (Some(only), None) => Self::of(only, components),
                _ => Self::default(),
            };
        }
        let is_number = schema["type"] == "integer"
            || schema["type"].as_array().is_some_and(|types| types.contains(&"integer".into()));
        let texts = schema["enum"].as_array().into_iter().flatten();
        let fields = schema["properties"].as_object().into_iter().flatten();
        let others =
            [&schema["items"], &schema["additionalProperties"]].into_iter().find(|other| other.is_object());
        Self {
            is_number,
            minimum: schema["minimum"].as_i64(),
            maximum: schema["maximum"].as_i64(),
            min_length: schema["minLength"].as_u64(),
            max_length: schema["maxLength"].as_u64(),
            texts: texts.filter_map(|text| text.as_str().map(str::to_owned)).collect(),
            fields: fields.map(|(name, field)| (name.clone(), Self::of(field, components))).collect(),
            others: others.map(|other| Box::new(Self::of(other, components))),
        }
    }

    /// What is wrong with a text that a URL or a header brings. One that should be a number and is none is left to who reads it.
    pub(super) fn refuse_text(&self, name: &str, text: &str) -> Option<String> {
        match text.parse() {
            Ok(number) if self.is_number => self.refuse_number(name, number),
            _ if self.is_number => None,
            _ => self.refuse_characters(name, text),
        }
    }

    /// What is wrong with a value of a body.
    pub(super) fn refuse(&self, name: &str, value: &Value) -> Option<String> {
        match value {
            Value::Null | Value::Bool(_) => None,
            Value::Number(number) => number.as_i64().and_then(|number| self.refuse_number(name, number)),
            Value::String(text) if text.contains('\0') => Some(holds_nul(name)),
            Value::String(text) => self.refuse_characters(name, text),
            Value::Array(items) => items
                .iter()
                .enumerate()
                .find_map(|(index, item)| self.other().refuse(&format!("{name}[{index}]"), item)),
            Value::Object(fields) => fields.iter().find_map(|(field, value)| {
                let within = if name.is_empty() { field.clone() } else { format!("{name}.{field}") };
                if field.contains('\0') {
                    return Some(holds_nul(&within.replace('\0', "\\0")));
                }
                self.fields.get(field).unwrap_or(self.other()).refuse(&within, value)
            }),
        }
    }

    fn other(&self) -> &Self {
        static ANYTHING: Bounds = Bounds {
            is_number: false,
            minimum: None,
            maximum: None,
            min_length: None,
            max_length: None,
            texts: Vec::new(),
            fields: BTreeMap::new(),
            others: None,
        };
        self.others.as_deref().unwrap_or(&ANYTHING)
    }

    fn refuse_number(&self, name: &str, number: i64) -> Option<String> {
        let fits = self.minimum.is_none_or(|least| least <= number)
            && self.maximum.is_none_or(|most| number <= most);
        (!fits).then(|| match (self.minimum, self.maximum) {
            (Some(least), Some(most)) => format!("{name}: {number} is not between {least} and {most}"),
            (Some(least), None) => format!("{name}: {number} is less than {least}"),
            (_, most) => format!("{name}: {number} is more than {}", most.unwrap_or(i64::MAX)),
        })
    }

    fn refuse_characters(&self, name: &str, text: &str) -> Option<String> {
        if !self.texts.is_empty() && !self.texts.iter().any(|known| known == text) {
            let given: String = text.chars().take(50).collect();
            return Some(format!("{name}: {given:?} is none of {}", self.texts.join(", ")));
        }
        let (least, most) = (self.min_length.unwrap_or(0), self.max_length.unwrap_or(u64::MAX));
        let length = text.chars().count() as u64;
        (!(least..=most).contains(&length)).then(|| match self.max_length {
            Some(most) => format!("{name}: it has {length} characters; {least} to {most} are taken"),
            None => format!("{name}: it must have at least {least} characters"),
        })
    }
}

/// Neither the database nor a phone takes it.
pub(super) fn holds_nul(name: &str) -> String {
    format!("{name}: the value holds a NUL, which cannot be kept")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_held_to_what_its_schema_says() {
        let components = json!({ "schemas": {
            "State": { "type": "string", "enum": ["held", "dead"] },
            "Request": { "type": "object", "properties": {
                "state": { "oneOf": [{ "type": "null" }, { "$ref": "#/components/schemas/State" }] },
                "limit": { "type": ["integer", "null"], "minimum": 1, "maximum": 9 },
                "after": { "type": "integer", "minimum": 0 },
                "name": { "type": "string", "minLength": 1, "maxLength": 3 },
                "either": { "oneOf": [{ "type": "integer", "minimum": 5 }, { "type": "string" }] },
                "names": { "type": "array", "items": { "type": "string", "minLength": 2 } },
                "variables": { "type": "object", "additionalProperties": { "type": "string", "maxLength": 2 } },
            } },
        } });
        let bounds = Bounds::of(&json!({ "$ref": "#/components/schemas/Request" }), &components);
        let cases = [
            (
                json!({ "state": "dead", "limit": 9, "after": 0, "name": "äöü", "either": 1, "names": [], "variables": {} }),
                None,
            ),
            (json!({ "state": null, "limit": null, "unknown": "x" }), None),
            (json!({ "state": "lost" }), Some("state: \"lost\" is none of held, dead")),
            (json!({ "limit": 10 }), Some("limit: 10 is not between 1 and 9")),
            (json!({ "after": -1 }), Some("after: -1 is less than 0")),
            (json!({ "name": "" }), Some("name: it has 0 characters; 1 to 3 are taken")),
            (json!({ "name": "four" }), Some("name: it has 4 characters; 1 to 3 are taken")),
            (json!({ "names": ["ab", "c"] }), Some("names[1]: it must have at least 2 characters")),
            (
                json!({ "variables": { "a": "abc" } }),
                Some("variables.a: it has 3 characters; 0 to 2 are taken"),
            ),
            (
                json!({ "unknown": { "deep": ["\0"] } }),
                Some("unknown.deep[0]: the value holds a NUL, which cannot be kept"),
            ),
            (
                json!({ "variables": { "a\0": "" } }),
                Some("variables.a\\0: the value holds a NUL, which cannot be kept"),
            ),
        ];

        for (value, refused) in cases {
            assert_eq!(bounds.refuse("", &value).as_deref(), refused, "{value}");
        }
        let limit = &bounds.fields["limit"];
        assert_eq!(limit.refuse_text("limit", "0").as_deref(), Some("limit: 0 is not between 1 and 9"));
        assert_eq!(limit.refuse_text("limit", "many"), None, "who reads it says so");
    }
}
