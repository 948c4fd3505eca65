//! Which phones the page shows: its address says so, so that a bookmark or a reload brings them back.

use crate::inbound::{NOBODY, is_person, whatsapp_address};

/// More would not be looked at.
const LIMIT: usize = 8;

/// Who stands in the first row: numbers that belong to nobody.
const USUAL: [(&str, &str); 6] = [
    ("+15005550100", "Ada"),
    ("+15005550101", "Bruno"),
    ("+15005550102", "Chidi"),
    ("+15005550103", "Dina"),
    ("+15005550104", "Emre"),
    ("+15005550105", "Farah"),
];

/// The part of the page that a narrow screen shows beside its phones.
pub(super) const REQUESTS: &str = "requests";

/// The phones that are open, by number or id, and which of them a narrow screen shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) numbers: Vec<String>,
    /// One of the numbers, or [`REQUESTS`].
    pub(super) shown: String,
    /// Whether the address asked to add or remove one.
    pub(super) has_changed: bool,
}

/// An address that names nobody, and what can be shown all the same.
pub(super) struct Refused {
    pub(super) opened: Opened,
    pub(super) why: String,
}

impl Opened {
    /// Reads `phones`, a list with commas, `show`, `add` and `remove`.
    pub(super) fn read(pairs: &[(String, String)]) -> Result<Self, Refused> {
        let value = |name: &str| pairs.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value);
        let mut why = None;
        let mut numbers: Vec<String> = Vec::new();
        let added = value("add").filter(|added| !added.trim().is_empty());
        let listed = value("phones").map_or_else(Vec::new, |listed| listed.split(',').collect());
        for given in listed.into_iter().filter(|given| !given.trim().is_empty()) {
            match number(given) {
                Some(number) if !numbers.contains(&number) => numbers.push(number),
                Some(_) => {}
                None => why = Some(format!("{} is {NOBODY}", given.trim())),
            }
        }
        if let Some(removed) = value("remove").and_then(|removed| number(removed)) {
            numbers.retain(|number| *number != removed);
        }
        let mut shown = value("show").cloned();
        if let Some(added) = added {
            match number(added) {
                Some(number) => {
                    if !numbers.contains(&number) {
                        numbers.push(number.clone());
                    }
                    shown = Some(number);
                }
                None => why = Some(format!("{} is {NOBODY}", added.trim())),
            }
        }
        if numbers.len() > LIMIT {
            why = Some(format!("the page shows {LIMIT} phones at most: remove one first"));
            numbers.truncate(LIMIT);
        }
        if numbers.is_empty() {
            numbers.push(USUAL[0].0.to_owned());
        }
        let has_changed = value("remove").is_some() || added.is_some();
        let opened = Self { shown: numbers[0].clone(), numbers, has_changed }.showing(shown.as_deref());
        why.map_or(Ok(opened.clone()), |why| Err(Refused { opened, why }))
    }

    /// The same with another one for narrow screens, if it is there.
    pub(super) fn showing(mut self, shown: Option<&str>) -> Self {
        let named = shown.map(|shown| number(shown).unwrap_or_else(|| shown.to_owned()));
        if let Some(shown) = named.filter(|shown| shown == REQUESTS || self.numbers.contains(shown)) {
            self.shown = shown;
        }
        self
    }

    /// The list as the address has it.
    pub(super) fn list(&self) -> String {
        self.numbers.join(",")
    }

    /// Where the page with these phones is.
    pub(super) fn url(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("phones", &self.list()).append_pair("show", &self.shown);
        format!("/sandbox?{}", query.finish())
    }

    /// Numbers that could be added, with their names: the next two.
    pub(super) fn proposals(&self) -> Vec<(&'static str, &'static str)> {
        let closed = USUAL.iter().filter(|(number, _)| !self.numbers.iter().any(|open| open == number));
        closed.copied().take(if self.numbers.len() < LIMIT { 2 } else { 0 }).collect()
    }
}

/// The name of whoever has not told one.
pub(super) fn usual_name(number: &str) -> &'static str {
    USUAL.iter().find(|(usual, _)| *usual == number).map_or("Somebody", |(_, name)| name)
}

/// A number or an id as the page names it, without `whatsapp:`.
fn number(given: &str) -> Option<String> {
    let address = whatsapp_address(given.trim());
    is_person(&address).then(|| address.trim_start_matches("whatsapp:").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Opened, Refused> {
        let pairs: Vec<_> = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Opened::read(&pairs)
    }

    fn numbers(pairs: &[(&str, &str)]) -> String {
        read(pairs).ok().unwrap().list()
    }

    #[test]
    fn the_address_says_which_phones_are_open() {
        assert_eq!(numbers(&[]), "+15005550100");
        // An address that was typed has spaces for the signs.
        assert_eq!(numbers(&[("phones", " 15005550101,15005550102")]), "+15005550101,+15005550102");
        assert_eq!(numbers(&[("phones", "US.ab12,US.ab12")]), "US.ab12");
        assert_eq!(
            numbers(&[("phones", "+15005550101"), ("add", "+1 500 555 0109")]),
            "+15005550101,+15005550109"
        );
        assert_eq!(
            numbers(&[("phones", "+15005550101,+15005550102"), ("remove", "+15005550101")]),
            "+15005550102"
        );
    }

    #[test]
    fn nobodies_are_refused_and_the_others_shown() {
        let refused = read(&[("phones", "+15005550101"), ("add", "<script>")]).unwrap_err();
        assert_eq!(refused.opened.list(), "+15005550101");
        assert!(refused.why.starts_with("<script> is nobody on WhatsApp"), "{}", refused.why);

        let many: Vec<String> = (1..=9).map(|number| format!("+1500555010{number}")).collect();
        let refused = read(&[("phones", &many.join(","))]).unwrap_err();
        assert_eq!(refused.opened.numbers.len(), LIMIT);
    }

    #[test]
    fn the_address_leads_back_to_itself() {
        let opened = read(&[("phones", "+15005550101,US.ab12"), ("show", "US.ab12")]).ok().unwrap();
        let query: Vec<(String, String)> =
            url::form_urlencoded::parse(opened.url().split_once('?').unwrap().1.as_bytes())
                .into_owned()
                .collect();

        assert_eq!(Opened::read(&query).ok(), Some(opened));
    }

    impl std::fmt::Debug for Refused {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(&self.why)
        }
    }
}
