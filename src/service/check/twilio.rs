//! What Twilio answers to our credentials now.

use std::time::Duration;

use channel::administration::findings::{Finding, Subject, Urgency};
use twilio::account::Account;
use twilio::client::{LookupError, TwilioClient};
use twilio::message_list::ListFilter;

use crate::config::Config;

/// Asks Twilio for a message.
pub(super) async fn ask(config: &Config) -> Finding {
    let fine = |text: &str| Finding::fine(Subject::Twilio, text);
    let wrong = |text: String, remedy: &str| Finding::of(Urgency::Now, Subject::Twilio, text, remedy);
    if config.sandbox {
        return fine(
            "the built-in sandbox; set TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and TWILIO_WHATSAPP_NUMBER for the real one",
        );
    }
    let account = Account { request_timeout: Duration::from_secs(10), ..config.twilio.account.clone() };
    let asked = match TwilioClient::new(account) {
        Ok(client) => client.list_messages(&ListFilter { at_most: Some(1), ..ListFilter::default() }).await,
        Err(error) => return wrong(error.to_string(), "no HTTP client can be made on this machine"),
    };
    match asked {
        Ok(_) => fine("the credentials are accepted for a list of messages; no send was tried"),
        Err(LookupError::Refused { status: 401, .. }) => {
            let remedy = match &config.twilio.account.api_key {
                None => "check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN",
                Some(_) => {
                    "check TWILIO_ACCOUNT_SID, TWILIO_API_KEY and TWILIO_API_SECRET, and that the key is of this account"
                }
            };
            wrong("the credentials are refused".to_owned(), remedy)
        }
        Err(LookupError::Refused { status: 404, .. }) => {
            wrong("the account is unknown".to_owned(), "check TWILIO_ACCOUNT_SID")
        }
        Err(error) => wrong(error.to_string(), "check TWILIO_API_BASE_URL and the way to it"),
    }
}

/// That a list is given says nothing of sends: where these are refused, Twilio is not well.
pub(super) fn weigh(twilio: &mut Finding, others: &[Finding]) {
    let is_about_sends = |one: &&Finding| {
        matches!(one.subject, Subject::Sender | Subject::InDoubt | Subject::Undelivered)
            && one.urgency.needs_a_person()
    };
    let told: Vec<&str> = others.iter().filter(is_about_sends).map(|one| one.subject.as_str()).collect();
    let Some(first) = told.first().filter(|_| twilio.urgency == Urgency::Fine) else { return };
    let text = format!("{}, and sends have trouble: see \"{}\" above", twilio.text, told.join("\" and \""));
    *twilio = Finding::of(Urgency::Note, Subject::Twilio, text, format!("as \"{first}\" says"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_to_be_well_at_twilio_while_sends_are_refused() {
        let ask = || Finding::fine(Subject::Twilio, "the credentials are accepted");
        let (mut well, mut ill) = (ask(), ask());

        weigh(&mut well, &[Finding::fine(Subject::Sender, "sending is not held back")]);
        weigh(&mut ill, &[Finding::of(Urgency::Now, Subject::Sender, "nothing is sent", "mend it")]);

        assert_eq!(well, ask());
        assert_eq!((ill.urgency, ill.remedy.as_deref()), (Urgency::Note, Some("as \"sender\" says")));
        assert!(ill.text.contains("see \"sender\" above"), "{}", ill.text);
    }
}
