//! An account at Twilio, and how it is reached.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

/// An account, and how it is reached.
#[derive(Clone, Debug)]
pub struct Account {
    /// `AC…`
    pub account_sid: String,
    /// The account's auth token; requests carry it unless there is an API key.
    pub auth_token: SecretString,
    /// What requests carry in its place.
    pub api_key: Option<ApiKey>,
    /// `https://api.twilio.com`, or another server that speaks the same.
    pub api_base_url: Url,
    /// Until a connection stands.
    pub connect_timeout: Duration,
    /// A look-up as a whole; a send has its own deadline.
    pub request_timeout: Duration,
}

/// A key of the account for its REST API, which can be withdrawn without a new auth token.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// `SK…`
    pub sid: String,
    /// What Twilio shows once, when the key is made.
    pub secret: SecretString,
}

impl Account {
    /// User and password of a request.
    pub(crate) fn credentials(&self) -> (&str, &str) {
        match &self.api_key {
            Some(key) => (&key.sid, key.secret.expose_secret()),
            None => (&self.account_sid, self.auth_token.expose_secret()),
        }
    }
}
