//! Pairs of what an agent wrote and what a person shall read.

use serde::Deserialize;

use crate::text::{Format, WhatsappText};

#[derive(Deserialize)]
struct Cases {
    pairs: Vec<Pair>,
}

#[derive(Deserialize)]
struct Pair {
    id: String,
    markdown: String,
    /// The wanted one first; the others are as good.
    whatsapp: Vec<String>,
}

fn check(json: &str) {
    let cases: Cases = serde_json::from_str(json).unwrap();
    let mut wrong = Vec::new();
    for Pair { id, markdown, whatsapp } in cases.pairs {
        let text = WhatsappText::of(&markdown, Format::Auto);
        if !whatsapp.iter().any(|wanted| wanted == text.as_str()) {
            wrong.push(format!(
                "{id}: {markdown:?}\n  became {:?}\n  wanted {:?}",
                text.as_str(),
                whatsapp[0]
            ));
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_commonest_texts_become_what_people_can_read() {
    check(include_str!("given.json"));
}

#[test]
fn rarer_texts_become_what_people_can_read() {
    check(include_str!("own.json"));
}

#[test]
fn a_text_of_whatsapp_leaves_as_it_was_written() {
    let text = "## *x*\r\n**y** \\* [a](b)\n";

    assert_eq!(WhatsappText::of(text, Format::Whatsapp).as_str(), text);
    assert_eq!(WhatsappText::as_written(text).as_str(), text);
}

#[test]
fn the_format_outweighs_the_signs() {
    let text = "*Total:* 5\n_thanks_";

    assert_eq!(WhatsappText::of(text, Format::Auto).as_str(), text);
    assert_eq!(WhatsappText::of(text, Format::Markdown).as_str(), "_Total:_ 5\n_thanks_");
}

#[test]
fn a_format_is_read_by_its_name() {
    for (name, format) in Format::NAMES.into_iter().zip([Format::Auto, Format::Markdown, Format::Whatsapp]) {
        assert_eq!(serde_json::from_value::<Format>(name.into()).unwrap(), format);
    }
}
