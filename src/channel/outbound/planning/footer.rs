//! The sentence that tells how to unsubscribe.

use whatsapp_text::text::WhatsappText;

/// The footer of a proactive delivery, word for word.
pub const SENTENCE: &str = "Reply STOP to unsubscribe.";

/// What an author may have put around the sentence.
const SIGNS: [char; 4] = ['*', '_', '~', '-'];

/// The text without the sentences of this meaning that its author put at its end, in any case and number, so that the footer stands
/// once. One in the middle of the text stays: it may belong to a story. So does the end of a longer sentence, such as "You can reply
/// stop to unsubscribe".
pub(super) fn strip(text: &WhatsappText) -> &str {
    let mut text = text.as_str().trim_end();
    while let Some(rest) = strip_one(text) {
        text = rest.trim_end();
    }
    text
}

fn strip_one(text: &str) -> Option<&str> {
    let bare = text.trim_end_matches(SIGNS).trim_end_matches(['.', '!']).trim_end_matches(SIGNS);
    let sentence = SENTENCE.trim_end_matches('.');
    let begin = bare.len().checked_sub(sentence.len()).filter(|begin| bare.is_char_boundary(*begin))?;
    let (before, written) = bare.split_at(begin);
    if !written.eq_ignore_ascii_case(sentence) {
        return None;
    }
    let rest = before.trim_end_matches(SIGNS);
    let gap = &rest[rest.trim_end().len()..];
    let is_in_a_word = gap.is_empty() && rest.ends_with(char::is_alphanumeric);
    let goes_on = !gap.contains('\n')
        && written.starts_with('r')
        && rest.trim_end().ends_with(|char: char| char.is_alphanumeric() || char == ',');
    (!is_in_a_word && !goes_on).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(text: &str) -> String {
        strip(&WhatsappText::as_written(text)).to_owned()
    }

    #[test]
    fn the_sentence_at_the_end_is_taken_off_however_it_is_written() {
        for end in [
            "\n\nReply STOP to unsubscribe.",
            " reply stop to UNSUBSCRIBE",
            "\n_Reply STOP to unsubscribe._\n",
            "\r\n\r\nReply STOP to unsubscribe!",
        ] {
            assert_eq!(stripped(&format!("It rains.{end}")), "It rains.", "{end}");
        }
        assert_eq!(stripped("Hi\nReply STOP to unsubscribe. Reply STOP to unsubscribe."), "Hi");
        assert_eq!(stripped("Reply STOP to unsubscribe."), "");
    }

    #[test]
    fn a_part_of_another_sentence_stays() {
        for text in [
            "You can reply stop to unsubscribe.",
            "Reply STOP to unsubscribe. Or stay.",
            "noreply STOP to unsubscribe.",
            "unsubscribe.",
            "",
        ] {
            assert_eq!(stripped(text), text);
        }
    }
}
