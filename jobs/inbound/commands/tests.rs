//! What people write, and what it means to the channel.

use proptest::prelude::*;

use super::*;

/// Keywords, in every spelling that still is the whole message.
const STOPS: &[(&str, &str)] = &[
    // Plain.
    ("STOP", "STOP"),
    ("UNSUBSCRIBE", "UNSUBSCRIBE"),
    ("CANCEL", "CANCEL"),
    ("END", "END"),
    ("QUIT", "QUIT"),
    ("STOPALL", "STOPALL"),
    // Case.
    ("stop", "STOP"),
    ("Stop", "STOP"),
    ("sToP", "STOP"),
    ("unsubscribe", "UNSUBSCRIBE"),
    ("Unsubscribe", "UNSUBSCRIBE"),
    ("cancel", "CANCEL"),
    ("Cancel", "CANCEL"),
    ("end", "END"),
    ("End", "END"),
    ("quit", "QUIT"),
    ("Quit", "QUIT"),
    ("stopall", "STOPALL"),
    ("StopAll", "STOPALL"),
    // Spaces and lines around.
    (" stop", "STOP"),
    ("stop ", "STOP"),
    ("  stop  ", "STOP"),
    ("\tstop\t", "STOP"),
    ("stop\n", "STOP"),
    ("\r\nstop\r\n", "STOP"),
    ("\n\n\nSTOP", "STOP"),
    ("\u{a0}stop\u{a0}", "STOP"),
    ("\u{3000}stop\u{3000}", "STOP"),
    ("\u{2003}quit\u{2009}", "QUIT"),
    // Punctuation at the end.
    ("stop.", "STOP"),
    ("stop!", "STOP"),
    ("STOP!!!", "STOP"),
    ("stop?", "STOP"),
    ("stop…", "STOP"),
    ("stop...", "STOP"),
    ("stop,", "STOP"),
    ("stop;", "STOP"),
    ("stop:", "STOP"),
    ("stop -", "STOP"),
    ("stop \u{2014}", "STOP"),
    ("stop !", "STOP"),
    ("stop ?!", "STOP"),
    ("stop . . .", "STOP"),
    ("stop。", "STOP"),
    ("stop！", "STOP"),
    ("stop\"", "STOP"),
    ("stop)", "STOP"),
    ("cancel.", "CANCEL"),
    ("end!", "END"),
    ("Quit.\n", "QUIT"),
    ("Unsubscribe. ", "UNSUBSCRIBE"),
    // Full width and other compatibility forms.
    ("ＳＴＯＰ", "STOP"),
    ("ｓｔｏｐ", "STOP"),
    ("ＱＵＩＴ．", "QUIT"),
    ("𝐒𝐓𝐎𝐏", "STOP"),
    ("𝚜𝚝𝚘𝚙", "STOP"),
    ("Ⓢⓣⓞⓟ", "STOP"),
    ("ſtop", "STOP"),
    ("Ｅｎｄ！", "END"),
    // Invisible characters.
    ("\u{200b}stop", "STOP"),
    ("st\u{200b}op", "STOP"),
    ("stop\u{200d}", "STOP"),
    ("\u{feff}STOP", "STOP"),
    ("\u{200e}stop\u{200f}", "STOP"),
    ("\u{202a}stop\u{202c}", "STOP"),
    ("st\u{ad}op", "STOP"),
    ("stop\u{fe0f}", "STOP"),
    ("s\u{2060}t\u{2060}o\u{2060}p", "STOP"),
    (" \u{200b} stop \u{200b} ", "STOP"),
    ("stop\u{200b}.", "STOP"),
    ("stop\u{0}", "STOP"),
];

const STARTS: &[&str] = &[
    "START",
    "start",
    "Start",
    " start ",
    "start!",
    "START.",
    "ｓｔａｒｔ",
    "st\u{200b}art",
    "start\n",
    "\u{feff}Start",
];

const BROWSER: &[&str] = &[
    "stop browser",
    "Stop Browser",
    "STOP BROWSER",
    "browser stop",
    "Browser stop!",
    "stop session",
    "Stop session.",
    " stop   browser ",
    "stop\nbrowser",
    "stop\u{a0}session",
    "ｓｔｏｐ　ｂｒｏｗｓｅｒ",
    "stop\u{200b} browser",
    "STOP SEẞION",
];

const TOKENS: &[(&str, &str)] = &[
    ("LINK-ABCD-EFGH", "ABCDEFGH"),
    ("link-abcd-efgh", "ABCDEFGH"),
    ("Link-Abcd-Efgh", "ABCDEFGH"),
    ("LINKABCDEFGH", "ABCDEFGH"),
    ("linkabcdefgh", "ABCDEFGH"),
    ("LINK-ABCDEFGH", "ABCDEFGH"),
    ("LINKABCD-EFGH", "ABCDEFGH"),
    (" LINK-2345-6789 ", "23456789"),
    ("LINK-2345-6789.", "23456789"),
    ("LINK–ABCD–EFGH", "ABCDEFGH"),
    ("LINK—ABCD—EFGH", "ABCDEFGH"),
    ("LINK - ABCD - EFGH", "ABCDEFGH"),
    ("LINK\u{2011}ABCD\u{2011}EFGH", "ABCDEFGH"),
    ("LINK\u{2212}ABCD\u{2212}EFGH", "ABCDEFGH"),
    ("ＬＩＮＫ－ＡＢＣＤ－ＥＦＧＨ", "ABCDEFGH"),
    ("LINK-\u{200b}ABCD-EFGH", "ABCDEFGH"),
    ("link-zzzz-9999", "ZZZZ9999"),
];

const TEXTS: &[&str] = &[
    // Sentences that contain the words.
    "stop please",
    "please stop",
    "STOP 12345",
    "12345 STOP",
    "stop it",
    "don't stop",
    "stop. now",
    "stop stop",
    "STOP STOP STOP",
    "I want to unsubscribe",
    "unsubscribe me",
    "unsubscribe from this list",
    "cancel my meeting",
    "cancel order 17",
    "the end",
    "end of story",
    "weekend",
    "quit smoking",
    "I quit!",
    "start over",
    "start the report",
    "restart",
    "let's start",
    "stop all",
    "STOP ALL",
    "stopped",
    "stopping",
    "nonstop",
    "stop-all",
    "un-subscribe",
    "s t o p",
    "st op",
    "stop browsers",
    "stop the browser",
    "browser stopped",
    "stop sessions",
    "stop my session",
    "session stop",
    "stop browser now",
    // Punctuation that is not at the end.
    "\"stop\"",
    "!stop",
    "¡stop!",
    "(stop)",
    "/stop",
    "#stop",
    "*stop*",
    "-stop",
    // Marks that are no punctuation.
    "stop 🛑",
    "stop✋",
    "🛑",
    "stop+",
    "stop=",
    "stop$",
    // Other words that other services take for keywords.
    "REVOKE",
    "OPTOUT",
    "OPT OUT",
    "REMOVE",
    "UNSTOP",
    "YES",
    "HELP",
    "INFO",
    "SUBSCRIBE",
    // Other languages.
    "ARRET",
    "arrêt",
    "PARAR",
    "detener",
    "Stopp",
    "стоп",
    "СТОП",
    "停止",
    "止めて",
    "توقف",
    "στοπ",
    // Letters that only look alike.
    "ЅТОР",
    "STОP",
    "SΤOP",
    "ѕtop",
    "еnd",
    "quıt",
    "QUİT",
    "CАNCEL",
    "śtop",
    "stóp",
    // Nearly a token.
    "LINK",
    "LINK-",
    "LINK-ABCD",
    "LINK-ABCD-EFG",
    "LINK-ABCD-EFGHJ",
    "LINK-ABCD-EFG0",
    "LINK-ABCD-EFGO",
    "LINK-ABCD-EFG1",
    "LINK-ABCD-EFGI",
    "LINK-ABC-DEFGH",
    "LINK--ABCD-EFGH",
    "LINK_ABCD_EFGH",
    "LINK ABCD EFGH",
    "link that page",
    "link full text",
    "my code is LINK-ABCD-EFGH",
    "LINK-ABCD-EFGH please",
    "ABCD-EFGH",
    "LINC-ABCD-EFGH",
    // Nothing at all.
    "",
    " ",
    "\u{200b}",
    "...",
    "?",
    "hello",
    "Hi there!",
];

#[test]
fn every_body_means_what_the_table_says() {
    for (body, word) in STOPS {
        assert_eq!(Command::of(body), Command::Stop(word), "{body:?}");
    }
    for body in STARTS {
        assert_eq!(Command::of(body), Command::Start, "{body:?}");
    }
    for body in BROWSER {
        assert_eq!(Command::of(body), Command::EndBrowserSession, "{body:?}");
    }
    for (body, symbols) in TOKENS {
        assert_eq!(Command::of(body), Command::Claim(ClaimToken((*symbols).to_owned())), "{body:?}");
    }
    for body in TEXTS {
        assert_eq!(Command::of(body), Command::Text, "{body:?}");
    }
    assert!(STOPS.len() + STARTS.len() + BROWSER.len() + TOKENS.len() + TEXTS.len() >= 150);
}

#[test]
fn a_token_has_eight_symbols_and_is_not_shown_by_accident() {
    let token = ClaimToken::generate(&mut rand::rng());

    assert_eq!(token.symbols().len(), 8);
    assert_eq!(format!("{token:?}"), "ClaimToken(…)");
    assert_ne!(token, ClaimToken::generate(&mut rand::rng()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_token_is_read_back_however_it_is_typed(dashes in proptest::collection::vec(0usize..4, 2), capitals in any::<[bool; 14]>()) {
        let token = ClaimToken::generate(&mut rand::rng());
        let dash = |at: usize| ["", "-", " – ", "—"][dashes[at]];
        let (first, second) = token.symbols().split_at(4);
        let typed: String = format!("LINK{}{first}{}{second}", dash(0), dash(1))
            .chars()
            .enumerate()
            .map(|(at, c)| if capitals[at % 14] { c } else { c.to_ascii_lowercase() })
            .collect();

        prop_assert_eq!(Command::of(&typed), Command::Claim(token));
    }

    #[test]
    fn no_text_makes_it_stumble_and_words_beside_a_keyword_make_it_text(body in any::<String>(), word in "[a-z]{1,9}") {
        let _ = Command::of(&body);

        for keyword in STOP_WORDS.iter().chain([&START_WORD]) {
            let sentence = format!("{keyword} {word} {word}");
            prop_assert_eq!(Command::of(&sentence), Command::Text);
        }
    }
}
