//! What holds for every text, tried on thousands of random ones made of what agents write.

use proptest::prelude::*;

use crate::text::{Format, WhatsappText};

fn converted(text: &str) -> String {
    WhatsappText::of(text, Format::Auto).as_str().to_owned()
}

/// Words and signs without links, tables, HTML, mathematics and entities, which add, move or replace letters.
fn prose() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => "[a-zé]{1,8}",
        2 => "[0-9]{1,3}",
        1 => "[\u{4e00}-\u{4e20}]{1,4}",
        5 => Just(" ".to_owned()),
        5 => prop::sample::select(vec!["*", "**", "***", "_", "__", "~", "~~", "(", ")", "“", ".", ",", ": ", "\\*", "\\_"]).prop_map(str::to_owned),
        3 => prop::sample::select(vec!["\n", "\n\n", "  \n", "\n# ", "\n- ", "\n  - ", "\n* ", "\n> ", "\n1. ", "\n---\n", "\n- [ ] "]).prop_map(str::to_owned),
    ];
    // Three tildes begin code, and its language is not shown.
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().replace("~~~", ""))
}

/// Anything, also what nobody writes.
fn anything() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prose(),
        prop::sample::select(vec![
            "`",
            "```",
            "```rust\n",
            "~~~\n",
            "[",
            "](",
            "](https://x.example/a_(b",
            ")",
            "![",
            "<",
            ">",
            "</b>",
            "<b>",
            "<br",
            "<!--",
            "-->",
            "<pre>",
            "</pre>",
            "<code>",
            "</code>",
            "<a href=\"",
            "\"",
            "&amp;",
            "&#27;",
            "&",
            ";",
            "\\",
            "\\(",
            "\\)",
            "$",
            "$$",
            "|",
            "\n|---|---|\n",
            "| a | b |",
            "https://",
            "www.",
            "x://",
            "[^1]",
            "\n[^1]: ",
            "\n[a]: <",
            "\t",
            "\r\n",
            "\0",
            "__init__",
            "*args",
            "2*3",
            "<sup>",
            "</sup>",
            "<li>",
            "<td>",
            "\u{200d}",
            "e\u{301}",
            "\n    ",
            "[!NOTE]",
            "[x] ",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,6}",
    ];
    prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

fn url() -> impl Strategy<Value = String> {
    "https://x\\.example/[a-z_*~?=&.-]{0,12}(\\([a-z_*]{0,4}\\))?[a-z_*/]{0,6}[a-z0-9]"
}

fn letters(text: &str) -> String {
    text.chars().filter(|char| char.is_alphabetic()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_is_too_strange(text in anything()) {
        for format in [Format::Auto, Format::Markdown] {
            let converted = WhatsappText::of(&text, format);

            prop_assert!(converted.as_str().len() <= 8 * text.len() + 64);
        }
    }

    #[test]
    fn the_words_stay_in_order(text in prose()) {
        prop_assert_eq!(letters(&converted(&text)), letters(&text));
    }

    #[test]
    fn code_stays_byte_for_byte(before in prose(), span in "[!-_a-~]([ -_a-~]{0,20}[!-_a-~])?", block in "[!-_a-~]{1,10}(\n[ -_a-~]{0,20}){0,4}", after in prose()) {
        let inline = format!("{before}\n\nSee `{span}` here.\n\n{after}");
        let fenced = format!("{before}\n\nSee:\n\n```python\n{block}\n```\n\n{after}");

        prop_assert!(converted(&inline).contains(&format!("`{span}`")), "{}", converted(&inline));
        prop_assert!(converted(&fenced).contains(&format!("```\n{block}\n```")), "{}", converted(&fenced));
    }

    #[test]
    fn urls_stay_byte_for_byte(before in prose(), url in url(), after in prose()) {
        let text = format!("{before} {url} {after}");

        prop_assert!(converted(&text).contains(&url), "{}", converted(&text));
    }

    #[test]
    fn what_is_escaped_is_not_emphasised(before in prose(), sign in "[*_~]", words in "[a-z]{1,8}( [a-z]{1,8}){0,2}", after in prose()) {
        let text = format!("{before}\n\nSee \\{sign}{words}\\{sign} here.\n\n{after}");

        prop_assert!(!converted(&text).contains(&format!("{sign}{words}{sign}")), "{}", converted(&text));
    }

    #[test]
    fn links_lead_where_they_led(words in "[a-z]{1,8}( [a-z]{1,8}){0,2}", url in url()) {
        let expected = format!("{words} ({url})");

        prop_assert_eq!(converted(&format!("[{words}]({url})")), &expected[..]);
        prop_assert_eq!(converted(&format!("[{words}][1]\n\n[1]: {url}")), &expected[..]);
    }

    #[test]
    fn a_text_of_whatsapps_is_unchanged(words in prop::collection::vec("[a-z]{1,8}[:.,]?", 1..12), line in "[a-z]{1,9}") {
        let text = format!("*{}*\n- {line}\n> ~{line}~ and _{line}_\r\n`{line}**` 2*3  \n", words.join(" "));

        prop_assert_eq!(converted(&text), text);
    }
}
