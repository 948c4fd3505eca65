//! Commands are read however they are spelled, and nothing beside them is.

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;

#[test]
fn a_token_has_eight_symbols_and_is_not_shown_by_accident() {
    let token = ClaimToken::generate(&mut rand::rng());

    assert_eq!(token.symbols().len(), 8);
    assert_eq!(format!("{token:?}"), "ClaimToken(…)");
    assert_ne!(token, ClaimToken::generate(&mut rand::rng()));
}

/// What can stand before and after a command, or between two of its letters, without a mark.
const UNSEEN: &[&str] = &["", "\u{200b}", "\u{feff}", "\u{200f}", "\u{ad}", "\u{fe0f}"];

/// How a person, a keyboard or a screen may write an ASCII letter or digit.
fn respelled(c: char, how: u8) -> String {
    let wide = |c: char| char::from_u32(u32::from(c) + 0xFEE0).unwrap();
    let c = if how & 1 == 0 { c } else { c.to_ascii_lowercase() };
    let unseen = UNSEEN[usize::from(how >> 2) % UNSEEN.len()];
    format!("{unseen}{}", if how & 2 == 0 { c } else { wide(c) })
}

/// What may stand around a command.
const AROUND: &[&str] = &[
    " ",
    "\n",
    ".",
    "!",
    "?",
    "…",
    "。",
    "\"",
    "‘",
    "’",
    "«",
    "»",
    "(",
    ")",
    "*",
    "_",
    "~",
    "`",
    "´",
    ">",
    "-",
    "#",
    "🛑",
    "❤️",
    "👍🏽",
    "👩\u{200d}💻",
    "🇩🇪",
    "™️",
    "ℹ️",
    "=",
    "\u{feff}",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_token_is_read_back_however_it_is_typed(
        seed in any::<u64>(),
        first in proptest::sample::select(vec!["", "-", " – ", "—", "ー"]),
        second in proptest::sample::select(vec!["", "-", " - ", "−"]),
        how in proptest::collection::vec(any::<u8>(), 12),
    ) {
        let token = ClaimToken::generate(&mut StdRng::seed_from_u64(seed));
        let letters: Vec<String> =
            "LINK".chars().chain(token.symbols().chars()).zip(how).map(|(c, how)| respelled(c, how)).collect();
        let (link, symbols) = letters.split_at(4);
        let (before, after) = symbols.split_at(4);
        let typed = [&link.concat(), first, &before.concat(), second, &after.concat()].concat();

        prop_assert_eq!(read(&typed), PersonCommand::Claim(token), "{}", typed);
    }

    #[test]
    fn a_keyword_is_obeyed_however_it_is_typed(
        word in proptest::sample::select(STOP_WORDS.to_vec()),
        how in proptest::collection::vec(any::<u8>(), 11),
        around in proptest::collection::vec(proptest::sample::select(AROUND.to_vec()), 0..8),
        before in 0_usize..8,
    ) {
        let typed: String = word.chars().zip(how).map(|(c, how)| respelled(c, how)).collect();
        let (before, after) = around.split_at(before.min(around.len()));
        let typed = [before.concat(), typed, after.concat()].concat();

        prop_assert_eq!(read(&typed), PersonCommand::Stop(word), "{:?}", typed);
    }

    #[test]
    fn words_beside_a_command_make_it_text(
        said in proptest::sample::select([&STOP_WORDS[..], &BROWSER_PHRASES, &[START_WORD, "LINK-ABCD-EFGH"]].concat()),
        word in "[a-z0-9а-я]{1,9}",
    ) {
        prop_assume!(!["browser", "session", "stop"].contains(&word.as_str()), "two words may be a phrase");

        for sentence in [format!("{said} {word}"), format!("{word} {said}"), format!("{said}. {word}"), format!("{word}\n{said}!")] {
            prop_assert_eq!(read(&sentence), PersonCommand::Text, "{:?}", sentence);
        }
    }

    #[test]
    fn no_text_makes_it_stumble(body in any::<String>(), nearly in "(?i)link[-ー ]?\\PC{0,9}") {
        let _ = read(&body);
        let _ = read(&nearly);
    }
}
