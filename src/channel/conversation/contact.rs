//! A contact (vCard, RFC 6350) in words: who it is, and how to reach them. Portraits and what programs keep there are left out.

/// Of a card no more is told, in characters.
const LIMIT: usize = 2000;

/// What is told, in the words of the person who reads it.
const TOLD: [(&str, &str); 8] = [
    ("FN", ""),
    ("ORG", ""),
    ("TITLE", ""),
    ("TEL", "tel "),
    ("EMAIL", "email "),
    ("ADR", "address "),
    ("URL", ""),
    ("NOTE", ""),
];

/// The cards of a file, a line each. `None`: there is none.
pub(super) fn in_words(file: &str) -> Option<String> {
    // A line that begins with a space goes on with the one before it.
    let unfolded = file.replace("\r\n", "\n").replace("\n ", "").replace("\n\t", "");
    let mut cards: Vec<Vec<String>> = Vec::new();
    for line in unfolded.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        // "item1.TEL;type=CELL" is a TEL.
        let name = name.split(';').next().unwrap_or_default();
        let name = name.rsplit('.').next().unwrap_or_default().to_ascii_uppercase();
        if name == "BEGIN" && value.trim().eq_ignore_ascii_case("VCARD") {
            cards.push(Vec::new());
        }
        let Some((_, label)) = TOLD.iter().find(|(told, _)| *told == name) else { continue };
        let value = plain(value);
        if let Some(card) = cards.last_mut().filter(|_| !value.is_empty()) {
            card.push(format!("{label}{value}"));
        }
    }
    let told: Vec<String> = cards.iter().map(|card| format!("[contact: {}]", card.join("; "))).collect();
    let told: String = told.join("\n").chars().take(LIMIT).collect();
    (!told.is_empty()).then_some(told)
}

/// A value without its escapes; the parts of an address, which semicolons separate, one after the other.
fn plain(value: &str) -> String {
    let escaped = value.replace("\\n", " ").replace("\\N", " ").replace("\\,", ",").replace("\\;", ",");
    let parts: Vec<&str> = escaped.split(';').map(str::trim).filter(|part| !part.is_empty()).collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_told_in_a_line() {
        let file = "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Doe;Jane;;;\r\nFN:Jane\r\n  Doe\r\nitem1.TEL;type=CELL;waid=15005550100:+1 500 555 0100\r\n\
                    ADR;type=HOME:;;Main St 1;Berlin;;10115;Germany\r\nPHOTO;ENCODING=b:aGVsbG8=\r\nEND:VCARD\r\nBEGIN:VCARD\nFN:Bob\nEND:VCARD\n";

        let told = in_words(file).unwrap();

        assert_eq!(
            told,
            "[contact: Jane Doe; tel +1 500 555 0100; address Main St 1, Berlin, 10115, Germany]\n[contact: Bob]"
        );
    }

    #[test]
    fn what_is_no_card_is_none() {
        assert_eq!(in_words("FN:Nobody"), None);
        assert_eq!(in_words(""), None);
    }
}
