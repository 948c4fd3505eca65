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
        Ok(_) => fine("the credentials are accepted"),
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
