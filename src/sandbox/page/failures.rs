//! Twilio's error codes in words, those that a WhatsApp sender meets.

/// Why a message did not arrive.
pub(super) fn words(code: i32) -> &'static str {
    match code {
        21211 => "this is no valid WhatsApp number",
        21610 => "the person has opted out at Twilio",
        30007 => "filtered as unwanted",
        30008 => "the reason is unknown",
        63001 => "WhatsApp did not accept the sender",
        63003 => "this number is not on WhatsApp",
        63005 => "WhatsApp did not accept the content",
        63007 => "the sender is not a WhatsApp sender of this account",
        63013 => "it breaks a policy of WhatsApp",
        63016 => "free text more than 24 hours after the person's last message: a template is needed",
        63018 => "too many messages in a short time",
        63024 => "WhatsApp does not know this recipient",
        63032 => "WhatsApp limits messages to this person",
        63049 => "WhatsApp chose not to deliver this marketing message",
        _ => "Twilio's list of error codes tells more",
    }
}
