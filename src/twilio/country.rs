//! The country of an address: of a number by its prefix, of an opaque id by the two letters before its dot.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use crate::calling_codes::CALLING_CODES;

/// A country or territory by its two letters (ISO 3166-1, and XK for Kosovo).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Country(&'static str);

/// Two letters that no country has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no country: a country is two letters like \"BR\" (ISO 3166-1)")]
pub struct UnknownCountry(String);

impl Country {
    /// The country of an address. `None`: the address tells none. A code that several countries share is told apart by the digits behind it;
    /// a territory with letters of its own is a country of its own.
    #[must_use]
    pub fn of(address: &str) -> Option<Self> {
        let name = address.strip_prefix("whatsapp:").unwrap_or(address);
        match name.strip_prefix('+') {
            Some(digits) => Self::of_digits(digits),
            None => name.split_once('.').and_then(|(letters, _)| letters.parse().ok()),
        }
    }

    /// The country with the longest prefix that fits.
    fn of_digits(digits: &str) -> Option<Self> {
        let prefixes = CALLING_CODES.iter().flat_map(|(country, prefixes)| {
            prefixes
                .split(' ')
                .filter(|prefix| digits.starts_with(prefix))
                .map(move |prefix| (prefix.len(), country))
        });
        prefixes.max_by_key(|(length, _)| *length).map(|(_, country)| Self(country))
    }

    /// Its two letters.
    #[must_use]
    pub fn letters(self) -> &'static str {
        self.0
    }
}

impl FromStr for Country {
    type Err = UnknownCountry;

    fn from_str(letters: &str) -> Result<Self, Self::Err> {
        let known = CALLING_CODES.iter().find(|(country, _)| *country == letters);
        known.map(|(country, _)| Self(country)).ok_or_else(|| UnknownCountry(letters.to_owned()))
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl<'de> Deserialize<'de> for Country {
    fn deserialize<D: Deserializer<'de>>(given: D) -> Result<Self, D::Error> {
        String::deserialize(given)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_number_is_of_the_country_with_the_longest_prefix_that_fits() {
        for (address, country) in [
            ("whatsapp:+5511987654321", Some("BR")),
            ("whatsapp:+491512345678", Some("DE")),
            ("whatsapp:+393123456789", Some("IT")),
            ("whatsapp:+390669812345", Some("VA")),
            ("whatsapp:+15005550100", Some("US")),
            ("whatsapp:+14165550100", Some("CA")),
            ("whatsapp:+18765550100", Some("JM")),
            ("whatsapp:+79161234567", Some("RU")),
            ("whatsapp:+77011234567", Some("KZ")),
            ("whatsapp:+4791234567", Some("NO")),
            ("whatsapp:+447400123456", Some("GB")),
            ("whatsapp:+447797712345", Some("JE")),
            ("whatsapp:+9999999999", None),
            ("whatsapp:+", None),
        ] {
            assert_eq!(Country::of(address).map(Country::letters), country, "{address}");
        }
    }

    #[test]
    fn an_opaque_id_is_of_the_country_before_its_dot() {
        for (address, country) in [
            ("whatsapp:BR.abc123", Some("BR")),
            ("BR.abc123", Some("BR")),
            ("whatsapp:US.ENT.abc123", Some("US")),
            ("whatsapp:ZZ.abc123", None),
            ("whatsapp:br.abc123", None),
            ("whatsapp:BR", None),
            ("", None),
        ] {
            assert_eq!(Country::of(address).map(Country::letters), country, "{address}");
        }
    }

    #[test]
    fn no_prefix_is_of_two_countries() {
        let mut seen = BTreeSet::new();
        for (country, prefixes) in CALLING_CODES {
            assert!(country.len() == 2 && country.bytes().all(|b| b.is_ascii_uppercase()), "{country}");
            for prefix in prefixes.split(' ') {
                assert!(
                    !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit()),
                    "{country} {prefix}"
                );
                assert!(seen.insert(prefix), "{prefix} is twice");
            }
        }
        assert!(CALLING_CODES.is_sorted_by_key(|(country, _)| *country));
    }
}
