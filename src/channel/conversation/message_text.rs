//! A WhatsApp message in words that an agent can use: locations, buttons, forms, replies, and the names of files. What Twilio sends for each is
//! in its documentation of the messaging webhook.

use std::collections::HashMap;

use serde_json::Value;

/// Of a text that somebody replies to no more is quoted, in characters.
const QUOTED: usize = 300;

/// Of a form's answers no more is told, in characters.
const FORM: usize = 2000;

/// WhatsApp messages carry one file; nobody sends more than this.
const FILES: i32 = 10;

/// A file that came with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Which of the message's files, from 0.
    pub index: i32,
    /// Where Twilio keeps it; empty if it did not say so.
    pub url: String,
    /// What its writer says it is, in small letters.
    pub content_type: String,
}

impl File {
    /// Its name for whoever cannot see it, and why not.
    pub fn in_words(&self, why: &str) -> String {
        format!("[{} ({}), {why}]", self.kind(), self.content_type)
    }

    /// Whether agents can see it.
    pub(crate) fn is_picture(&self) -> bool {
        self.content_type.starts_with("image/")
    }

    /// Whether it is a contact.
    pub(crate) fn is_contact(&self) -> bool {
        matches!(self.content_type.as_str(), "text/vcard" | "text/x-vcard" | "text/directory")
    }

    fn kind(&self) -> &'static str {
        match self.content_type.split('/').next().unwrap_or_default() {
            "image" => "picture",
            "audio" => "audio message",
            "video" => "video",
            _ if self.is_contact() => "contact",
            _ => "document",
        }
    }
}

/// The files of a message.
#[must_use]
pub fn files(params: &Value) -> Vec<File> {
    let number: i32 = field(params, "NumMedia").and_then(|number| number.parse().ok()).unwrap_or(0);
    let file = |index: i32| {
        let named = |name: &str| field(params, &format!("{name}{index}")).map(str::to_owned);
        let content_type = named("MediaContentType").unwrap_or_default();
        let content_type = content_type.split(';').next().unwrap_or_default().trim().to_lowercase();
        let content_type =
            if content_type.is_empty() { "of an unknown kind".to_owned() } else { content_type };
        File { index, url: named("MediaUrl").unwrap_or_default(), content_type }
    };
    (0..number.clamp(0, FILES)).map(file).collect()
}

/// Whether somebody who sends this has finished: pressed buttons are whole messages, and so are commands. A file or a place is often one of
/// several, or has its question behind it.
#[must_use]
pub fn is_whole(body: &str, params: &Value) -> bool {
    body.trim_start().starts_with('/')
        || ["ButtonText", "ButtonPayload", "ListId", "InteractiveData", "FlowData"]
            .iter()
            .any(|name| field(params, name).is_some())
}

/// Twilio's id of the message that this one is a reply to.
pub(crate) fn replied_to(params: &Value) -> Option<&str> {
    field(params, "OriginalRepliedMessageSid")
}

/// What comes before the text: what it answers, and whether its writer wrote it at all. `texts` has the texts of other messages by Twilio's id.
pub fn before(params: &Value, texts: &HashMap<String, String>) -> Vec<String> {
    let mut told = Vec::new();
    if let Some(sid) = replied_to(params) {
        told.push(match texts.get(sid).filter(|text| !text.trim().is_empty()) {
            Some(text) => format!("[in reply to: \"{}\"]", cut(text, QUOTED)),
            None => "[in reply to an earlier message]".to_owned(),
        });
    }
    let is = |name: &str| field(params, name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    if is("FrequentlyForwarded") {
        told.push("[forwarded many times]".to_owned());
    } else if is("Forwarded") {
        told.push("[forwarded]".to_owned());
    }
    told
}

/// The text, and what was sent beside it or in its place.
#[must_use]
pub fn said(body: &str, params: &Value) -> Vec<String> {
    let mut told = Vec::new();
    let button = field(params, "ButtonText");
    // A pressed button's text comes as the body, too.
    if !body.trim().is_empty() && button != Some(body) {
        told.push(body.to_owned());
    }
    if button.is_some() || field(params, "ButtonPayload").is_some() {
        told.push(listed("pressed the button", &[button, field(params, "ButtonPayload")]));
    }
    let choice = [field(params, "ListTitle"), field(params, "ListDescription"), field(params, "ListId")];
    if choice.iter().any(Option::is_some) {
        told.push(listed("chose from the list", &choice));
    }
    if let (Some(latitude), Some(longitude)) = (field(params, "Latitude"), field(params, "Longitude")) {
        let place = format!("{latitude}, {longitude}");
        told.push(listed("location", &[Some(&place), field(params, "Label"), field(params, "Address")]));
    }
    for name in ["InteractiveData", "FlowData"] {
        if let Some(data) = field(params, name) {
            told.push(format!("[filled in a form: {}]", cut(data, FORM)));
        }
    }
    let advertisement =
        ["ReferralHeadline", "ReferralBody", "ReferralSourceUrl"].map(|name| field(params, name));
    if advertisement.iter().any(Option::is_some) {
        told.push(listed("came from the advertisement", &advertisement));
    }
    told
}

/// A message without anything that we know how to tell, if it is of some kind.
pub fn unknown(params: &Value) -> Option<String> {
    let kind = field(params, "MessageType").filter(|kind| *kind != "text")?;
    Some(format!("[a message of the kind {kind:?}, which cannot be shown]"))
}

/// A message as its own writer sees it in a thread: its text, and the names of its files.
#[must_use]
pub fn shown(body: &str, params: &Value) -> String {
    let mut told = said(body, params);
    told.extend(files(params).iter().map(|file| format!("[{} ({})]", file.kind(), file.content_type)));
    told.join("\n")
}

fn listed(what: &str, values: &[Option<&str>]) -> String {
    let values: Vec<&str> = values.iter().copied().flatten().collect();
    format!("[{what}: {}]", values.join("; "))
}

/// A parameter that is there and not empty; the first, should it repeat.
pub(crate) fn field<'a>(params: &'a Value, name: &str) -> Option<&'a str> {
    let value = params.get(name)?;
    let first = value.as_array().map_or(Some(value), |values| values.first());
    first?.as_str().filter(|value| !value.is_empty())
}

fn cut(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_text_becomes_words() {
        for (body, params, told) in [
            ("Hello", json!({}), vec!["Hello"]),
            (
                "Yes",
                json!({ "ButtonText": "Yes", "ButtonPayload": "yes_1" }),
                vec!["[pressed the button: Yes; yes_1]"],
            ),
            (
                "",
                json!({ "ListId": "7", "ListTitle": "Tea", "ListDescription": "Green" }),
                vec!["[chose from the list: Tea; Green; 7]"],
            ),
            (
                "",
                json!({ "Latitude": "52.5163", "Longitude": "13.3777", "Label": "Brandenburger Tor", "Address": "Pariser Platz" }),
                vec!["[location: 52.5163, 13.3777; Brandenburger Tor; Pariser Platz]"],
            ),
            ("", json!({ "FlowData": "{\"size\":\"L\"}" }), vec!["[filled in a form: {\"size\":\"L\"}]"]),
            (
                "Hi",
                json!({ "ReferralHeadline": "Try it", "ReferralNumMedia": "0" }),
                vec!["Hi", "[came from the advertisement: Try it]"],
            ),
            ("", json!({ "Latitude": "1" }), vec![]),
        ] {
            assert_eq!(said(body, &params), told, "{params}");
        }
    }

    #[test]
    fn a_reply_quotes_what_it_answers_and_a_forward_says_so() {
        let texts = HashMap::from([("SM1".to_owned(), "x".repeat(400))]);

        let quoted = before(&json!({ "OriginalRepliedMessageSid": "SM1", "Forwarded": "true" }), &texts);
        let unknown = before(
            &json!({ "OriginalRepliedMessageSid": "SM2", "Forwarded": "true", "FrequentlyForwarded": "true" }),
            &texts,
        );

        assert_eq!(quoted, [format!("[in reply to: \"{}…\"]", "x".repeat(300)), "[forwarded]".to_owned()]);
        assert_eq!(unknown, ["[in reply to an earlier message]", "[forwarded many times]"]);
        assert!(before(&json!({ "Forwarded": "false" }), &texts).is_empty());
    }

    #[test]
    fn files_are_those_that_are_counted() {
        let params = json!({
            "NumMedia": "3", "MediaUrl0": "https://a/0", "MediaContentType0": "Audio/OGG; codecs=opus",
            "MediaUrl1": "https://a/1", "MediaUrl3": "https://a/3"
        });

        let files = files(&params);

        assert_eq!(files.len(), 3);
        assert_eq!(files[2].url, "", "a file that is nowhere is named all the same");
        assert_eq!(files[0].in_words("not transcribed"), "[audio message (audio/ogg), not transcribed]");
        assert_eq!(files[1].in_words("not shown"), "[document (of an unknown kind), not shown]");
        assert!(super::files(&json!({ "NumMedia": "-1" })).is_empty());
    }

    #[test]
    fn whoever_presses_a_button_or_gives_a_command_has_finished() {
        for (body, params, whole) in [
            ("hello", json!({ "NumMedia": "0" }), false),
            ("", json!({ "NumMedia": "1" }), false),
            ("", json!({ "Latitude": "1" }), false),
            ("Yes", json!({ "ButtonText": "Yes" }), true),
            (" /new", json!({}), true),
        ] {
            assert_eq!(is_whole(body, &params), whole, "{body} {params}");
        }
    }

    #[test]
    fn a_thread_names_files_and_an_unknown_kind_is_told() {
        let params = json!({ "NumMedia": "1", "MediaUrl0": "https://a/0", "MediaContentType0": "image/png" });

        assert_eq!(shown("Look", &params), "Look\n[picture (image/png)]");
        assert_eq!(
            unknown(&json!({ "MessageType": "poll" })).as_deref(),
            Some("[a message of the kind \"poll\", which cannot be shown]")
        );
        assert_eq!(unknown(&json!({ "MessageType": "text" })), None);
    }
}
