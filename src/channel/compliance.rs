//! `[compliance]`: in which countries the assistant may talk to people. WhatsApp's terms forbid general-purpose assistants everywhere but in the
//! countries that Meta lists.

use serde::Deserialize;
use store::addresses::Name;
use twilio::country::Country;

/// `[compliance]`
#[derive(Clone, Debug, Deserialize)]
pub struct Compliance {
    /// What the assistant is in the sense of WhatsApp's terms.
    pub ai_provider: AiProvider,
    /// Where it may talk to people if it is a general-purpose one.
    pub countries: Vec<Country>,
}

/// What the assistant is in the sense of WhatsApp's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AiProvider {
    /// Nobody has said.
    Unset,
    /// The assistant of one business for its own customers: allowed everywhere.
    OwnCustomers,
    /// A general-purpose assistant: people of the listed countries only.
    ListedCountries,
}

/// What stands in the outcome of a message and in the answer to a claim that the list refuses.
pub(crate) const NOT_LISTED: &str = "the person's country is not in compliance.countries";

impl Compliance {
    /// Whether the assistant may talk to a person with these names, the latest first. Their number tells the country, or the opaque id of somebody who
    /// hides it. A name that tells no country is not listed.
    #[must_use]
    pub fn allows(&self, names: &[Name]) -> bool {
        self.ai_provider != AiProvider::ListedCountries
            || country_of(names).is_some_and(|country| self.countries.contains(&country))
    }
}

fn country_of(names: &[Name]) -> Option<Country> {
    let name = names.iter().find(|name| !name.is_opaque()).or(names.first())?;
    Country::of(&name.alias)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_allows_its_countries_by_the_number_that_is_known_or_by_the_opaque_id() {
        let compliance = |ai_provider| Compliance { ai_provider, countries: vec!["BR".parse().unwrap()] };
        let listed = compliance(AiProvider::ListedCountries);
        let open = [AiProvider::Unset, AiProvider::OwnCustomers].map(compliance);

        for (names, allowed) in [
            (&["whatsapp:+5511987654321"][..], true),
            (&["whatsapp:BR.abc"], true),
            (&["whatsapp:US.abc", "whatsapp:+5511987654321"], true),
            (&["whatsapp:BR.abc", "whatsapp:+15005550100"], false),
            (&["whatsapp:+15005550100"], false),
            (&["whatsapp:+9999999999"], false),
            (&[], false),
        ] {
            let names: Vec<Name> = names
                .iter()
                .map(|alias| Name { alias: (*alias).to_owned(), canonical: String::new() })
                .collect();
            assert_eq!(listed.allows(&names), allowed, "{names:?}");
            assert!(open.iter().all(|compliance| compliance.allows(&names)), "{names:?}");
        }
    }
}
