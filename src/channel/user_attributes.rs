//! What the product tells of a user, a text for each name. Schedules' texts bring it in as `{{user.attributes.NAME}}`.

use std::collections::BTreeMap;

/// Attributes that a user may have.
pub const ATTRIBUTES: usize = 50;

/// Bytes of a name.
pub const NAME_BYTES: usize = 64;

/// Bytes of a value.
pub const VALUE_BYTES: usize = 1024;

/// Why attributes are refused, to be read behind the word `attributes`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongAttributes {
    /// There are too many.
    #[error(": there are {0}; a user may have {ATTRIBUTES}")]
    TooMany(usize),
    /// A name could not stand in a text.
    #[error(": {0:?} can be no name; one has 1 to {NAME_BYTES} letters of A to Z, a to z, digits, _ and -")]
    Name(String),
    /// A value is too long.
    #[error(".{name}: the value has {bytes} bytes; at most {VALUE_BYTES} are kept")]
    TooLong {
        /// Whose value.
        name: String,
        /// How long it is.
        bytes: usize,
    },
    /// No database keeps such a text.
    #[error(".{0}: the value holds a NUL; leave it out")]
    Nul(String),
}

/// Whether a user may have these attributes.
pub fn check(attributes: &BTreeMap<String, String>) -> Result<(), WrongAttributes> {
    if attributes.len() > ATTRIBUTES {
        return Err(WrongAttributes::TooMany(attributes.len()));
    }
    attributes.iter().try_for_each(|(name, value)| {
        if !is_name(name) {
            return Err(WrongAttributes::Name(name.chars().take(NAME_BYTES).collect()));
        }
        if value.len() > VALUE_BYTES {
            return Err(WrongAttributes::TooLong { name: name.clone(), bytes: value.len() });
        }
        if value.contains('\0') {
            return Err(WrongAttributes::Nul(name.clone()));
        }
        Ok(())
    })
}

/// Whether an attribute may be called so.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=NAME_BYTES).contains(&name.len()) && name.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, value: &str) -> Option<String> {
        let attributes = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        check(&attributes).err().map(|wrong| format!("attributes{wrong}"))
    }

    #[test]
    fn names_and_values_have_their_limits() {
        for (name, value) in [
            ("name", "Alice"),
            ("first-name_2", ""),
            (&*"n".repeat(64), &*"v".repeat(1024)),
            ("name", &*"é".repeat(512)),
            ("name", "{{user.id}}\n\u{1b}"),
        ] {
            assert_eq!(told(name, value), None, "{name}");
        }
        for (name, value, expected) in [
            ("", "x", "attributes: \"\" can be no name; one has 1 to 64"),
            ("na me", "x", "attributes: \"na me\" can be no name"),
            ("näme", "x", "attributes: \"näme\" can be no name"),
            ("a.b", "x", "attributes: \"a.b\" can be no name"),
            (&*"n".repeat(65), "x", "can be no name"),
            ("name", &*"v".repeat(1025), "attributes.name: the value has 1025 bytes; at most 1024"),
            ("name", &*"é".repeat(513), "attributes.name: the value has 1026 bytes"),
            ("name", "a\0b", "attributes.name: the value holds a NUL"),
        ] {
            let told = told(name, value).unwrap();
            assert!(told.contains(expected), "{told}");
        }
    }

    #[test]
    fn a_user_has_at_most_fifty() {
        let some = |number: u32| (0..number).map(|n| (format!("a{n}"), String::new())).collect();

        assert_eq!(check(&some(50)), Ok(()));
        assert_eq!(check(&some(51)), Err(WrongAttributes::TooMany(51)));
    }
}
