//! What people write, and what it means to the channel.

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::json;

use super::*;

fn read(body: &str) -> PersonCommand {
    PersonCommand::read(body, false)
}

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
    ("stop’", "STOP"),
    ("stop〜", "STOP"),
    ("stop؟", "STOP"),
    ("stop।", "STOP"),
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
    ("🅂🅃🄾🄿", "STOP"),
    ("ˢᵗᵒᵖ", "STOP"),
    ("ﬆop", "STOP"),
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
    // Quotes, brackets and other punctuation around.
    ("\"STOP\"", "STOP"),
    ("'stop'", "STOP"),
    ("‘stop’", "STOP"),
    ("“Stop”", "STOP"),
    ("„stop“", "STOP"),
    ("«STOP»", "STOP"),
    ("‹ stop ›", "STOP"),
    ("「stop」", "STOP"),
    ("《quit》", "QUIT"),
    ("ʼstopʼ", "STOP"),
    ("`stop´", "STOP"),
    ("´stop´", "STOP"),
    ("\"stop.\"", "STOP"),
    ("¡stop!", "STOP"),
    ("¿stop?", "STOP"),
    ("!stop", "STOP"),
    ("(stop)", "STOP"),
    ("[STOP]", "STOP"),
    ("<stop>", "STOP"),
    ("#stop", "STOP"),
    ("-stop", "STOP"),
    ("- stop", "STOP"),
    ("• stop", "STOP"),
    ("...stop...", "STOP"),
    // WhatsApp's own signs.
    ("*STOP*", "STOP"),
    ("_stop_", "STOP"),
    ("~stop~", "STOP"),
    ("`stop`", "STOP"),
    ("```stop```", "STOP"),
    ("*_Unsubscribe_*", "UNSUBSCRIBE"),
    ("> stop", "STOP"),
    // Symbols and emoji.
    ("STOP 🛑", "STOP"),
    ("🛑 STOP 🛑", "STOP"),
    ("🛑STOP", "STOP"),
    ("stop✋", "STOP"),
    ("stop ✋🏽", "STOP"),
    ("Stop ❤️", "STOP"),
    ("Stop ❤", "STOP"),
    ("stop ❤️\u{200d}🔥", "STOP"),
    ("stop 🇩🇪", "STOP"),
    ("stop 🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}", "STOP"),
    ("stop ™️", "STOP"),
    ("stop ℹ️", "STOP"),
    ("stop ㊗️", "STOP"),
    ("stop Ⓜ️", "STOP"),
    ("stop 🈁", "STOP"),
    ("stop 🆗", "STOP"),
    ("stop \u{1faef}", "STOP"),
    ("stop *️⃣", "STOP"),
    ("stop ‼️", "STOP"),
    ("stop :-(", "STOP"),
    ("stop+", "STOP"),
    ("stop=", "STOP"),
    ("stop$", "STOP"),
    ("→ cancel ←", "CANCEL"),
    ("❌ END ❌\n", "END"),
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
    "\"START\"",
    "*start*",
    "Start 👍🏿",
    "✅ start",
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
    "\"stop browser\"",
    "*Stop session* 🙏",
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
    ("Link-abcd efgh", "ABCDEFGH"),
    ("LINK – ABCD\nEFGH", "ABCDEFGH"),
    ("ＬＩＮＫーＡＢＣＤーＥＦＧＨ", "ABCDEFGH"),
    ("ＬＩＮＫｰＡＢＣＤｰＥＦＧＨ", "ABCDEFGH"),
    ("LİNK-ABCD-EFGH", "ABCDEFGH"),
    ("lınk-abcd-efgh", "ABCDEFGH"),
    ("\u{200f}LINK-ABCD-EFGH\u{200f}", "ABCDEFGH"),
    ("\"LINK-ABCD-EFGH\"", "ABCDEFGH"),
    ("*LINK-ABCD-EFGH*", "ABCDEFGH"),
    ("👉 LINK-ABCD-EFGH 🙂", "ABCDEFGH"),
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
    // Signs between words, and a command of the agent's.
    "stop 🛑 now",
    "please 🛑 stop",
    "stop (please)",
    "*stop* it",
    "\"stop\" he said",
    "stop :D",
    "stop 1️⃣",
    "1. stop",
    "🛑",
    "❤️",
    "\"\"",
    "/stop",
    "\"/stop\"",
    "／stop",
    "/start",
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
    "UNSUBSCRİBE",
    "unsubscrıbe",
    "🆂🆃🅾🅿",
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
    "LINK ABCD-EFGH",
    "LINKABCD EFGH",
    "LINK-AB CD-EFGH",
    "LINK-ABCD-EFG H",
    "linkable task",
    "link full-text",
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
        assert_eq!(read(body), PersonCommand::Stop(word), "{body:?}");
    }
    for body in STARTS {
        assert_eq!(read(body), PersonCommand::Start, "{body:?}");
    }
    for body in BROWSER {
        assert_eq!(read(body), PersonCommand::EndBrowserSession, "{body:?}");
    }
    for (body, symbols) in TOKENS {
        assert_eq!(read(body), PersonCommand::Claim(ClaimToken((*symbols).to_owned())), "{body:?}");
    }
    for body in TEXTS {
        assert_eq!(read(body), PersonCommand::Text, "{body:?}");
    }
    assert!(STOPS.len() + STARTS.len() + BROWSER.len() + TOKENS.len() + TEXTS.len() >= 150);
}

#[test]
fn revoke_and_optout_count_where_the_operator_wants_it() {
    for body in ["REVOKE", "revoke.", "\"OptOut\"", "optout 🛑"] {
        assert_eq!(read(body), PersonCommand::Text, "{body:?}");
        assert!(
            matches!(PersonCommand::read(body, true), PersonCommand::Stop("REVOKE" | "OPTOUT")),
            "{body:?}"
        );
    }
    for body in ["opt out", "revoke it", "I revoke"] {
        assert_eq!(PersonCommand::read(body, true), PersonCommand::Text, "{body:?}");
    }
}

#[test]
fn in_the_dashboard_browser_phrases_and_stop_are_commands_and_nothing_else() {
    for body in ["stop browser", "Browser stop.", "**STOP SESSION**"] {
        assert_eq!(PersonCommand::of_dashboard(body), PersonCommand::EndBrowserSession, "{body:?}");
    }
    for body in ["stop", "STOP!", "\"stop\"", "stopall", "Unsubscribe"] {
        assert!(matches!(PersonCommand::of_dashboard(body), PersonCommand::Stop(_)), "{body:?}");
    }
    for body in ["cancel", "end", "quit", "start", "revoke", "LINK-ABCD-EFGH", "stop please", "/stop"] {
        assert_eq!(PersonCommand::of_dashboard(body), PersonCommand::Text, "{body:?}");
    }
}

#[test]
fn a_button_and_a_row_count_by_what_is_behind_them() {
    let whatsapp =
        Whatsapp { enforce_window: true, typing_indicator: true, enabled: true, revoke_and_optout: false };
    for (body, params, command) in [
        ("No more", json!({ "ButtonText": "No more", "ButtonPayload": "STOP" }), PersonCommand::Stop("STOP")),
        ("No more", json!({ "ButtonText": "No more", "ButtonPayload": "stop" }), PersonCommand::Stop("STOP")),
        ("Go on", json!({ "ButtonText": "Go on", "ButtonPayload": "START" }), PersonCommand::Start),
        (
            "Cancel",
            json!({ "ButtonText": "Cancel", "ButtonPayload": "cancel_order_17" }),
            PersonCommand::Text,
        ),
        ("Stop", json!({ "ButtonText": "Stop" }), PersonCommand::Stop("STOP")),
        ("Stop", json!({ "ButtonText": "Stop", "ButtonPayload": "" }), PersonCommand::Stop("STOP")),
        (
            "Nothing",
            json!({ "ListTitle": "Nothing", "ListId": "unsubscribe" }),
            PersonCommand::Stop("UNSUBSCRIBE"),
        ),
        ("End", json!({ "ListTitle": "End", "ListId": "chapter-9" }), PersonCommand::Text),
        ("stop", json!({}), PersonCommand::Stop("STOP")),
    ] {
        let payload = params["ButtonPayload"].as_str().or(params["ListId"].as_str());
        let message = InboundMessage {
            sid: "SM1".to_owned(),
            from: "whatsapp:+15005550100".to_owned(),
            body: body.to_owned(),
            account_sid: None,
            to: None,
            external_user_id: None,
            opt_out_type: None,
            payload: payload.filter(|payload| !payload.is_empty()).map(str::to_owned),
            media: 0,
        };

        assert_eq!(PersonCommand::of(&message, &whatsapp), command, "{params}");
        assert_eq!(PersonCommand::of_stored(body, &params, &whatsapp), command, "{params}");
    }
}

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
        word in proptest::sample::select(STOP_WORDS[..USUAL_STOP_WORDS].to_vec()),
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
        said in proptest::sample::select([&STOP_WORDS[..USUAL_STOP_WORDS], &BROWSER_PHRASES, &[START_WORD, "LINK-ABCD-EFGH"]].concat()),
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
