//! Shows a person that an answer is on its way.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use url::Url;

use crate::client::{ErrorBody, LookupError, TwilioClient, causes, read};
use crate::hosts::behind_api;

/// It is a courtesy: nobody waits longer for it.
const TIMEOUT: Duration = Duration::from_secs(3);

impl TwilioClient {
    /// Marks an inbound message as read and shows its writer that we are typing, until we write or 25 seconds have passed (Twilio: "Typing
    /// indicators resource", in public beta). An error is not worth more than a line in the log.
    pub async fn show_typing(&self, message_sid: &str) -> Result<(), LookupError> {
        let answer = self
            .request(Method::POST, &typing_url(&self.account.api_base_url))
            .json(&json!({"channel": "WHATSAPP", "messageId": message_sid}))
            .timeout(TIMEOUT)
            .send()
            .await
            .map_err(|error| LookupError::Unanswered(causes(&error)))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let body = read(answer).await.unwrap_or_default();
        Err(LookupError::Refused { status: status.as_u16(), code: ErrorBody::read(&body).code })
    }
}

/// Twilio has it on the host of its messaging product: `messaging.twilio.com` for `api.twilio.com`, and in the same place for an account
/// that lives elsewhere, `messaging.dublin.ie1.twilio.com` for `api.dublin.ie1.twilio.com`, as Twilio's libraries make their hosts.
/// Another server that speaks the same has it beside everything else.
fn typing_url(api_base_url: &Url) -> Url {
    let mut url = api_base_url.clone();
    if let Some(behind) = behind_api(api_base_url) {
        url.set_host(Some(&format!("messaging{behind}")))
            .expect("a host of Twilio's with another first label");
    }
    url.set_path(&format!("{}/v3/Indicators/Typing.json", api_base_url.path().trim_end_matches('/')));
    url.set_query(None);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twilio_has_typing_on_its_messaging_host_and_a_stand_in_has_it_beside_the_rest() {
        let cases = [
            ("https://api.twilio.com", "https://messaging.twilio.com/v3/Indicators/Typing.json"),
            ("https://api.ie1.twilio.com/", "https://messaging.ie1.twilio.com/v3/Indicators/Typing.json"),
            (
                "https://api.dublin.ie1.twilio.com",
                "https://messaging.dublin.ie1.twilio.com/v3/Indicators/Typing.json",
            ),
            ("http://127.0.0.1:8081", "http://127.0.0.1:8081/v3/Indicators/Typing.json"),
            ("https://gateway.example/twilio/?x", "https://gateway.example/twilio/v3/Indicators/Typing.json"),
            ("https://api.twilio.com.example", "https://api.twilio.com.example/v3/Indicators/Typing.json"),
        ];

        for (api_base_url, url) in cases {
            assert_eq!(typing_url(&api_base_url.parse().unwrap()).as_str(), url);
        }
    }
}
