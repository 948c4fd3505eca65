//! WhatsApp addresses as Twilio spells them.

/// One spelling for an address and all that mean the same person. WhatsApp names some numbers in two ways: Mexican ones with and without
/// the 1 behind +52, Argentine ones with and without the 9 behind +54, Brazilian mobile ones with and without the ninth digit. The shorter
/// spelling stands for both. It is for comparing only; people are written to as they write to us.
#[must_use]
pub fn canonical(address: &str) -> String {
    let Some(digits) =
        address.strip_prefix("whatsapp:+").filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
    else {
        return address.to_owned();
    };
    let shorter = match digits.len() {
        13 if digits.starts_with("521") => Some(format!("52{}", &digits[3..])),
        13 if digits.starts_with("549") => Some(format!("54{}", &digits[3..])),
        // +55, two digits of the area, the ninth digit, and eight that begin with 6 to 9 where they are a mobile's.
        13 if digits.starts_with("55") && digits.as_bytes()[4] == b'9' && digits.as_bytes()[5] >= b'6' => {
            Some(format!("{}{}", &digits[..4], &digits[5..]))
        }
        _ => None,
    };
    shorter.map_or_else(|| address.to_owned(), |shorter| format!("whatsapp:+{shorter}"))
}

/// All spellings of a number that has two, or the one that an address has.
#[must_use]
pub fn spellings(address: &str) -> Vec<String> {
    let short = canonical(address);
    let long = short.strip_prefix("whatsapp:+").filter(|digits| digits.len() == 12).and_then(|digits| {
        let (country, rest) = digits.split_at(2);
        match country {
            "52" => Some(format!("whatsapp:+521{rest}")),
            "54" => Some(format!("whatsapp:+549{rest}")),
            "55" => Some(format!("whatsapp:+55{}9{}", &rest[..2], &rest[2..])),
            _ => None,
        }
    });
    let mut spellings = vec![address.to_owned()];
    spellings
        .extend([Some(short.clone()), long].into_iter().flatten().filter(|other| canonical(other) == short));
    spellings.sort();
    spellings.dedup();
    spellings
}

/// Whether an address is a number.
#[must_use]
pub fn is_number(address: &str) -> bool {
    address
        .strip_prefix("whatsapp:+")
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// Whether two addresses are proven to be two people's. A number and an opaque id may be one person's, and so may anything and nothing.
#[must_use]
pub fn is_another_person(one: &str, other: &str) -> bool {
    !one.is_empty()
        && !other.is_empty()
        && is_number(one) == is_number(other)
        && canonical(one) != canonical(other)
}

/// Hides the middle of an address, for logs: `whatsapp:+1500…0100`. What is too short to hide anything in is hidden whole.
#[must_use]
pub fn masked(address: &str) -> String {
    let (prefix, name) = address.split_once(':').map_or(("", address), |(channel, name)| (channel, name));
    let separator = if prefix.is_empty() { "" } else { ":" };
    let characters: Vec<char> = name.chars().collect();
    if characters.len() < 11 {
        return format!("{prefix}{separator}…");
    }
    let head: String = characters[..5].iter().collect();
    let tail: String = characters[characters.len() - 4..].iter().collect();
    format!("{prefix}{separator}{head}…{tail}")
}

/// The sender's number in any of the usual spellings (`+1…`, `1…`, `whatsapp:+1…`) as Twilio wants it: `whatsapp:+1…`.
///
/// `None`: it is no E.164 number.
#[must_use]
pub fn sender(number: &str) -> Option<String> {
    let bare = number.trim();
    let bare = bare.strip_prefix("whatsapp:").unwrap_or(bare);
    let digits = bare.strip_prefix('+').unwrap_or(bare);
    let valid = (7..=15).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit())
        && !digits.starts_with('0');
    valid.then(|| format!("whatsapp:+{digits}"))
}

/// An address as a person writes it, `+1 (500) 555-0100`, `0015005550100`, `whatsapp:+1500…` or an opaque id `US.…`, as Twilio spells it.
///
/// `None`: it is neither a number with its country's code nor an opaque id.
#[must_use]
pub fn as_written(text: &str) -> Option<String> {
    let bare = text.trim();
    let bare = bare.strip_prefix("whatsapp:").unwrap_or(bare);
    if let Some((country, id)) = bare.split_once('.')
        && country.len() == 2
        && country.bytes().all(|b| b.is_ascii_alphabetic())
        && !id.is_empty()
    {
        return Some(format!("whatsapp:{}.{id}", country.to_ascii_uppercase()));
    }
    let digits: String = bare.chars().filter(|c| !" -.()/\u{a0}".contains(*c)).collect();
    sender(digits.strip_prefix("00").unwrap_or(&digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_has_two_spellings_has_one_canonical() {
        for (one, other) in [
            ("+5215512345678", "+525512345678"),
            ("+5491123456789", "+541123456789"),
            ("+5511987654321", "+551187654321"),
        ] {
            let (one, other) = (format!("whatsapp:{one}"), format!("whatsapp:{other}"));
            assert_eq!(canonical(&one), canonical(&other), "{one}");
        }
    }

    #[test]
    fn a_number_is_listed_in_each_of_its_spellings() {
        for both in [
            ["whatsapp:+5215512345678", "whatsapp:+525512345678"],
            ["whatsapp:+541123456789", "whatsapp:+5491123456789"],
            ["whatsapp:+551187654321", "whatsapp:+5511987654321"],
        ] {
            assert_eq!(spellings(both[0]), both);
            assert_eq!(spellings(both[1]), both);
        }
        for only in ["whatsapp:+15005550100", "whatsapp:+551132345678", "whatsapp:MX.525512345678", "x"] {
            assert_eq!(spellings(only), [only]);
        }
    }

    #[test]
    fn two_people_are_told_apart_only_by_two_names_of_one_kind() {
        let number = "whatsapp:+5215512345678";

        assert!(is_another_person(number, "whatsapp:+15005550100"));
        assert!(is_another_person("whatsapp:US.a", "whatsapp:US.b"));
        for same in [number, "whatsapp:+525512345678", "whatsapp:MX.a", ""] {
            assert!(!is_another_person(number, same), "{same}");
        }
    }

    #[test]
    fn a_number_is_understood_however_a_person_writes_it() {
        for written in
            ["+1 (500) 555-0100", "0015005550100", " whatsapp:+15005550100", "15005550100", "+1.500.555.0100"]
        {
            assert_eq!(as_written(written).as_deref(), Some("whatsapp:+15005550100"), "{written}");
        }
        assert_eq!(as_written("us.Ab1").as_deref(), Some("whatsapp:US.Ab1"));
        for wrong in ["", "alice", "0500 5550100", "+1500x", "US."] {
            assert_eq!(as_written(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn numbers_of_different_people_stay_apart() {
        for address in [
            "whatsapp:+15005550100",
            "whatsapp:+525512345678",
            "whatsapp:+551132345678",
            "whatsapp:+5511932345678",
            "whatsapp:MX.5215512345678",
            "whatsapp:US.abc",
            "whatsapp:+",
        ] {
            assert_eq!(canonical(address), address);
        }
    }

    #[test]
    fn a_masked_address_shows_its_ends_only() {
        assert_eq!(masked("whatsapp:+15005550100"), "whatsapp:+1500…0100");
        assert_eq!(masked("whatsapp:US.abcdefghijkl"), "whatsapp:US.ab…ijkl");
        assert_eq!(masked("whatsapp:+1500"), "whatsapp:…");
        assert_eq!(masked(""), "…");
    }

    #[test]
    fn a_sender_is_understood_in_its_usual_spellings() {
        for spelling in ["+14155238886", "14155238886", "whatsapp:+14155238886", " whatsapp:14155238886 "] {
            assert_eq!(sender(spelling).as_deref(), Some("whatsapp:+14155238886"), "{spelling}");
        }
        for wrong in ["", "+", "whatsapp:", "+0155238886", "+1415523888612345", "+1 415 523 8886", "MG0123"] {
            assert_eq!(sender(wrong), None, "{wrong}");
        }
    }
}
