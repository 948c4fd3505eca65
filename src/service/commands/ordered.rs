//! JSON whose fields keep the order in which their struct has them: a person reads the important ones first.

use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// A value in its own order.
#[derive(Debug)]
pub(crate) enum Ordered {
    Object(Vec<(String, Self)>),
    List(Vec<Self>),
    /// A text, a number, a yes or no, or nothing.
    Plain(Value),
}

impl Ordered {
    /// The fields of a value in the order of its struct.
    pub(crate) fn of(value: &impl Serialize) -> serde_json::Result<Self> {
        serde_json::from_str(&serde_json::to_string(value)?)
    }

    /// Gives a field another value.
    pub(crate) fn replace(&mut self, name: &str, value: Self) {
        let Self::Object(fields) = self else { return };
        if let Some((_, field)) = fields.iter_mut().find(|(known, _)| known == name) {
            *field = value;
        }
    }

    /// A line for each value, named by its path.
    pub(crate) fn lines(&self, path: &str) -> String {
        let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        match self {
            Self::Object(fields) => fields.iter().map(|(name, value)| value.lines(&join(name))).collect(),
            Self::List(items) => (1..)
                .zip(items)
                .map(|(number, item): (u32, _)| item.lines(&join(&number.to_string())))
                .collect(),
            Self::Plain(Value::String(text)) => format!("{path:<30} {text}\n"),
            Self::Plain(Value::Null) => format!("{path:<30} -\n"),
            Self::Plain(other) => format!("{path:<30} {other}\n"),
        }
    }
}

impl Serialize for Ordered {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(value) => value.serialize(serializer),
            Self::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| list.serialize_element(item))?;
                list.end()
            }
            Self::Object(fields) => {
                let mut object = serializer.serialize_map(Some(fields.len()))?;
                fields.iter().try_for_each(|(name, value)| object.serialize_entry(name, value))?;
                object.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OrderedVisitor)
    }
}

struct OrderedVisitor;

impl<'de> Visitor<'de> for OrderedVisitor {
    type Value = Ordered;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Ordered, E> {
        Ok(Ordered::Plain(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Ordered, E> {
        Ok(Ordered::Plain(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Ordered, E> {
        Ok(Ordered::Plain(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Ordered, E> {
        Ok(Ordered::Plain(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Ordered, E> {
        Ok(Ordered::Plain(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Ordered, E> {
        Ok(Ordered::Plain(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Ordered, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Ordered::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Ordered, A::Error> {
        let mut fields = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            fields.push(entry);
        }
        Ok(Ordered::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Person {
        name: &'static str,
        age: Option<u8>,
        cities: Vec<&'static str>,
    }

    #[test]
    fn values_stand_in_the_order_of_their_struct() {
        let person =
            Ordered::of(&Person { name: "Ada", age: None, cities: vec!["London", "Ockham"] }).unwrap();

        let paths: Vec<String> = person
            .lines("")
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(paths, ["name Ada", "age -", "cities.1 London", "cities.2 Ockham"]);
        assert_eq!(
            serde_json::to_string(&person).unwrap(),
            r#"{"name":"Ada","age":null,"cities":["London","Ockham"]}"#
        );
    }
}
