//! Shows a person that an answer is on its way.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::client::{ErrorBody, LookupError, TwilioClient, causes, read};
use crate::hosts::product_url;

/// It is a courtesy: nobody waits longer for it.
const TIMEOUT: Duration = Duration::from_secs(3);

impl TwilioClient {
    /// Marks an inbound message as read and shows its writer that we are typing, until we write or 25 seconds have passed (Twilio: "Typing
    /// indicators resource", in public beta). An error is not worth more than a line in the log.
    pub async fn show_typing(&self, message_sid: &str) -> Result<(), LookupError> {
        let answer = self
            .request(
                Method::POST,
                &product_url(&self.account.api_base_url, "messaging", "/v3/Indicators/Typing.json"),
            )
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
